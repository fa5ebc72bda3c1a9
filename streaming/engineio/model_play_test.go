package engineio

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/model"
)

// playOptions are the options of the servers that are played with. Times are short, since the wheel
// turns 50 times in a second.
var playOptions = []Options{
	{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond, UpgradeTimeout: 400 * time.Millisecond,
		WriteTimeout: 100 * time.Millisecond, MaxPayload: 2000, SendBuffer: 20_000},
	{PingInterval: 1200 * time.Millisecond, PingTimeout: 700 * time.Millisecond, UpgradeTimeout: 500 * time.Millisecond,
		WriteTimeout: 200 * time.Millisecond, MaxPayload: 2000, SendBuffer: 400_000},
	{PingInterval: 10 * time.Second, PingTimeout: 3 * time.Second, UpgradeTimeout: time.Second,
		WriteTimeout: 300 * time.Millisecond, MaxPayload: 2000, SendBuffer: 400_000},
	{PingInterval: 2 * time.Second, PingTimeout: time.Second, UpgradeTimeout: 300 * time.Millisecond,
		WriteTimeout: 100 * time.Millisecond, MaxPayload: 2000, SendBuffer: 100_000, LogConnections: LogAll,
		Limits: Limits{Connections: 100, HalfOpen: 100}},
	{PingInterval: 1500 * time.Millisecond, PingTimeout: time.Second, UpgradeTimeout: 500 * time.Millisecond,
		WriteTimeout: 100 * time.Millisecond, MaxPayload: 2000, SendBuffer: 400_000,
		Deflate: &Compression{Threshold: 500}, HTTPCompression: &Compression{Threshold: 500}},
	{PingInterval: time.Second, PingTimeout: 500 * time.Millisecond, UpgradeTimeout: 400 * time.Millisecond,
		WriteTimeout: 200 * time.Millisecond, MaxPayload: 2000, SendBuffer: 400_000, ServerBuffer: 200_000,
		Limits: Limits{Bytes: &Rate{Amount: 200, Per: time.Second, Burst: 150}}},
}

// playMaxHold is how long polls are held at most by a server that compresses: one option goes with the
// other, for there is no need to play all combinations.
const playMaxHold = 150 * time.Millisecond

// playSlack is how late the server may be when a handler is at work: two ticks of the wheel, and
// what it tolerates.
const playSlack = 3 * wheelTick

// play is one run of a program.
type play struct {
	server  *Server
	options Options
	// sharedBuffer is the largest Options.ServerBuffer that was in force: a session for which it had no room
	// has no options.
	sharedBuffer int64
	began        time.Time
	players      []*player
	gate         gate
	held         bool
	shut         bool
	// maxHold is how long polls are held at most, or zero.
	maxHold time.Duration
	// restNow is true when a step has to be at rest before the next one.
	restNow bool
	logs    playLog
	// serving counts the requests that the server is at, alive the goroutines of the program.
	serving, alive atomic.Int64
	// shutdown is the error of Shutdown, once it has returned.
	shutdown chan error
}

// playerHeader tells accept which player begins a session.
const playerHeader = "Player"

func newPlay(options, players int) *play {
	pl := &play{options: playOptions[options%len(playOptions)], began: time.Now()}
	if pl.options.HTTPCompression != nil {
		pl.maxHold = playMaxHold
	}
	pl.sharedBuffer = pl.options.ServerBuffer
	pl.logs.on = pl.options.LogConnections == LogAll
	pl.server = New(pl.options, pl.accept, slog.New(&pl.logs))
	for i := range players {
		pl.players = append(pl.players, &player{
			play: pl, number: i,
			pollModels: make(map[*request]*model.Poll), postModels: make(map[*request]*model.Post),
		})
	}
	return pl
}

func (pl *play) now() time.Duration { return time.Since(pl.began) }

// modelOptions is what the model has to know of the options with which the session began.
func (p *player) modelOptions() model.Options {
	o, sharedBuffer := &p.play.options, p.play.sharedBuffer
	if s := p.session.Load(); s != nil {
		o, sharedBuffer = s.options, s.options.ServerBuffer
	}
	return model.Options{
		PingInterval: o.PingInterval, PingTimeout: o.PingTimeout, UpgradeTimeout: o.UpgradeTimeout, WriteTimeout: o.WriteTimeout,
		CloseWait: min(o.PingTimeout, maxPollGrace), ShutdownWait: farewellLinger, CloseGrace: closeGrace, Slack: playSlack, PollEnd: upgradePollInterval,
		SendBuffer: o.SendBuffer, MaxPayload: int(o.MaxPayload), MaxHold: p.play.maxHold, Chunk: writeChunk,
		SharedBuffer: int(sharedBuffer), ModestBuffer: modestBacklog, Rate: p.play.rate(), Burst: p.play.burst(),
	}
}

// rate and burst are how many bytes clients may send in a second, and at once, or zero. That is a limit
// of the server, which sessions do not keep.
func (pl *play) rate() int {
	if rate := pl.options.Limits.Bytes; rate != nil {
		return int(rate.Amount)
	}
	return 0
}

func (pl *play) burst() int {
	if rate := pl.options.Limits.Bytes; rate != nil {
		return int(rate.Burst)
	}
	return 0
}

func (pl *play) accept(session *Session) Listener {
	p := pl.playerOf(session.handshake)
	p.session.Store(session)
	return p
}

func (pl *play) playerOf(h *Handshake) *player {
	n, _ := strconv.Atoi(h.Header.Get(playerHeader))
	return pl.players[n]
}

// rest waits until nothing happens any more, and asks the models.
func (pl *play) rest() error {
	synctest.Wait()
	now := pl.now()
	for _, p := range pl.players {
		if !p.begun {
			continue
		}
		if err := p.feed(); err != nil {
			return p.explain(err)
		}
	}
	for _, p := range pl.players {
		if p.model == nil {
			continue
		}
		if err := p.model.Rest(now, p.busy.Load() > 0); err != nil {
			return p.explain(err)
		}
		for _, k := range p.sockets {
			if k.model != nil && k.model.IsSpare() {
				if err := k.model.Rest(true); err != nil {
					return p.explain(err)
				}
			}
		}
	}
	return pl.checkBudget()
}

func (p *player) explain(err error) error { return fmt.Errorf("client %d: %w", p.number, err) }

// checkBudget holds that what waits for clients is counted.
func (pl *play) checkBudget() error {
	var waiting int64
	shared := make(map[string]bool)
	for _, p := range pl.players {
		if p.model == nil {
			continue
		}
		for _, m := range p.model.Undelivered() {
			first := m.Packets[0].Data
			if m.Volatile || len(first) > 0 && first[0] == 'b' && shared[first] {
				continue
			}
			if len(first) > 0 && first[0] == 'b' {
				shared[first] = true
			}
			for i := range m.Packets {
				waiting += int64(len(m.Packets[i].Data))
			}
		}
	}
	if counted := pl.server.budget.bytes(); counted < waiting {
		return fmt.Errorf("%d bytes wait for clients, and %d are counted", waiting, counted)
	}
	return nil
}

// serve makes a request in the background.
func (pl *play) serve(r *request, method, query string, kind happeningKind) {
	p := r.player
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.kind = kind
	h := http.Header{playerHeader: {strconv.Itoa(p.number)}, "Accept-Encoding": {"gzip"}}
	hr := &http.Request{
		Method: method, URL: &url.URL{Path: "/socket.io/", RawQuery: query}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Host: "example.com", RemoteAddr: "192.0.2.1:1234", Body: http.NoBody,
	}
	if method == http.MethodPost {
		hr.Body, hr.ContentLength = r, -1
	}
	if r.conn != nil {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
		h["Sec-Websocket-Extensions"] = []string{"permessage-deflate"}
		h["Sec-Websocket-Version"], h["Sec-Websocket-Key"] = []string{"13"}, []string{"dGhlIHNhbXBsZSBub25jZQ=="}
	}
	pl.serving.Add(1)
	go func() {
		defer pl.serving.Add(-1)
		defer cancel()
		_ = pl.server.ServeHTTP(r, hr.WithContext(ctx), Inbound{Hold: pl.gate.pass, MaxHold: pl.maxHold})
		r.change(r.finish)
	}()
}

// session query of a transport.
func (p *player) query(transport Transport) string {
	if s := p.session.Load(); s != nil {
		return "EIO=4&transport=" + string(transport) + "&sid=" + s.id
	}
	return "EIO=4&transport=" + string(transport)
}

// poll polls. blocked says that the client takes nothing of the answer.
func (p *player) poll(blocked bool) {
	r := &request{player: p}
	r.init(r.came)
	if blocked {
		r.room = 0
	}
	p.polls = append(p.polls, r)
	p.note(happening{kind: polls, request: r, ok: blocked})
	p.play.serve(r, http.MethodGet, p.query(Polling), pollAnswered)
}

// beginPost begins a POST of which as much is sent as the caller says.
func (p *player) beginPost(body string, now int) {
	r := &request{player: p, whole: body, rest: body[now:], sent: []byte(body[:now])}
	r.init(r.came)
	r.ended = r.rest == ""
	p.posts = append(p.posts, r)
	p.note(happening{kind: posts, request: r})
	if r.ended {
		p.note(happening{kind: completes, request: r, text: body})
	}
	p.play.serve(r, http.MethodPost, p.query(Polling), postAnswered)
}

// goOn sends more of a POST's body.
func (p *player) goOn(r *request, all bool) {
	r.change(func() {
		if r.ended || r.complete || r.gone {
			return
		}
		n := len(r.rest)
		if !all {
			n = (n + 1) / 2
		}
		r.sent = append(r.sent, r.rest[:n]...)
		r.rest = r.rest[n:]
		if r.rest == "" {
			r.ended = true
			p.note(happening{kind: completes, request: r, text: r.whole})
		}
	})
}

// dial opens a WebSocket.
func (p *player) dial(kind happeningKind) *socket {
	k := &socket{conn: &lineConn{}}
	k.conn.init(func(b []byte) { p.note(happening{kind: bytesCame, socket: k, text: string(b)}) })
	k.conn.onClose = func() { p.note(happening{kind: connEnded, socket: k}) }
	r := &request{player: p, conn: k.conn}
	r.init(r.came)
	r.socket = k
	p.sockets = append(p.sockets, k)
	p.note(happening{kind: kind, socket: k, request: r})
	p.play.serve(r, http.MethodGet, p.query(WebSocket), socketAnswered)
	return k
}

// playLog counts the lines about the ends of sessions.
type playLog struct {
	on   bool
	mu   sync.Mutex
	ends map[string]int
}

func (l *playLog) Enabled(_ context.Context, level slog.Level) bool {
	return l.on && level >= slog.LevelInfo
}
func (l *playLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *playLog) WithGroup(string) slog.Handler      { return l }

func (l *playLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message != lineEnded {
		return nil
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "connection" {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.ends == nil {
				l.ends = make(map[string]int)
			}
			l.ends[a.Value.String()]++
			return false
		}
		return true
	})
	return nil
}
