package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/proc"
)

// attack is one kind of hostile load. run goes on until its context ends, and leaves nothing
// behind; what it counts goes into the tally.
type attack struct {
	name string
	run  func(ctx context.Context, target *Target, seen *tally)
}

// attacks are all there are, in order.
var attacks = [...]attack{
	{"handshakes", floodHandshakes},
	{"half_open", holdHalfOpen},
	{"slow_posts", postSlowly},
	{"slow_readers", readNothing},
	{"garbage", sendGarbage},
	{"storm", reconnect},
	{"pings", pingOnly},
	{"attachments", hoard},
	{"begun_posts", postInPart},
	{"left_answers", leaveAnswers},
	{"sleepers", takeNothing},
	{"unread_acks", askOnly},
	{"bombs", bomb},
}

// Attack lets Receivers honest clients ask for acknowledgements, Rate a second in all, alone and
// then beside each of the attacks in turn, for Duration each. It tells the honest clients'
// latencies before, during and after, how many questions were not answered, how much memory the
// server took, how long it took to be rid of each attack, and how many connections were left of all.
//
// Honest clients come from 127.0.0.0/24 and attackers from 127.0.1.0/24, so the server must be told
// to limit loopback.
func Attack(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Receivers == 0 || options.Rate == 0 {
		return nil, errors.New("needs clients and a rate")
	}
	clients, err := gather(ctx, target, options.Receivers, 0)
	if err != nil {
		return nil, err
	}
	defer clients.abort()
	h := newHonest(clients.sockets, options.Rate)
	defer h.stop()

	health, done := healthOf(target)
	defer done()
	result := &Result{}
	if err := sleep(ctx, options.Warmup); err != nil {
		return nil, err
	}
	if err := h.measure(ctx, options, "before", result); err != nil {
		return nil, err
	}
	if len(options.PIDs) > 0 {
		idle, err := proc.Measure(options.PIDs)
		if err != nil {
			return nil, err
		}
		result.set("idle_rss_mib", float64(idle.RSS)/(1<<20))
	}
	for _, a := range attacks {
		if err := h.besides(ctx, target, options, a, health, result); err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
	}
	if err := h.measure(ctx, options, "after", result); err != nil {
		return nil, err
	}
	h.stop()
	result.set("failed", float64(h.failed.Load()))
	result.set("left", h.left)
	result.set("lost_handshakes", float64(clients.lost))
	if before := result.Values["before_p99_ms"]; before > 0 {
		worst := 0.0
		for _, a := range attacks {
			worst = max(worst, result.Values[a.name+"_p99_ms"])
		}
		result.set("p99_moved", worst/before)
	}
	if len(options.PIDs) > 0 {
		peak, err := proc.Peak(options.PIDs)
		if err != nil {
			return nil, err
		}
		result.set("peak_mib", float64(peak)/(1<<20))
	}
	result.Notes = append(result.Notes, h.failures.notes()...)
	return result, nil
}

// honest are the clients that only ask.
type honest struct {
	askers   []*patient
	stopping atomic.Bool
	// phase tells the askers which histogram to count in; each phase has its own.
	phase    atomic.Int32
	failed   atomic.Int64
	failures *tally
	group    sync.WaitGroup
	// left is how many connections of attackers the server has kept for too long.
	left float64
}

// patient is an honest client: it asks at a fixed pace, and counts from when it was to ask, so that
// a server that keeps it waiting does not spare itself the questions in between.
type patient struct {
	socket *Socket
	counts [attackPhases]histogram
}

// attackPhases is how many measurements there are: before, one for each attack, and after.
const attackPhases = len(attacks) + 2

func newHonest(sockets []*Socket, rate int) *honest {
	h := &honest{failures: newTally()}
	h.phase.Store(-1)
	interval := time.Duration(len(sockets)) * time.Second / time.Duration(rate)
	for i, socket := range sockets {
		p := &patient{socket: socket}
		h.askers = append(h.askers, p)
		h.group.Go(func() {
			if err := p.ask(h, i, interval); err != nil {
				h.failed.Add(1)
				h.failures.add(err)
			}
		})
	}
	return h
}

// stop ends the clients after the questions under way.
func (h *honest) stop() {
	h.stopping.Store(true)
	h.group.Wait()
}

// unanswered is how long a question may take before the client has failed.
const unanswered = 10 * time.Second

func (p *patient) ask(h *honest, number int, interval time.Duration) error {
	var text, question, answer []byte
	due := now() + rand.N(interval)
	for id := uint64(10); !h.stopping.Load(); id = 10 + (id-9)%90 {
		if wait := due - now(); wait > 0 {
			// Heartbeats and broadcasts are read with the next answer: the pace is far above
			// theirs.
			time.Sleep(wait)
		}
		text = append(strconv.AppendUint(append(text[:0], "42"...), id, 10), fmt.Sprintf(`["stream:join",{"streamId":"%d"}]`, number)...)
		question = appendFrame(question[:0], opText, text)
		answer = append(strconv.AppendUint(append(answer[:0], "43"...), id, 10), `[{"success":true`...)
		_ = p.socket.conn.SetDeadline(time.Now().Add(unanswered))
		if err := p.socket.send(question); err != nil {
			return fmt.Errorf("asking: %w", err)
		}
		for {
			message, err := p.socket.next()
			if err != nil {
				return fmt.Errorf("waiting for an ack: %w", err)
			}
			if bytes.HasPrefix(message.head, answer) {
				break
			}
			if bytes.HasPrefix(message.head, answer[:4]) {
				return fmt.Errorf("refused: %.80q", message.head)
			}
		}
		if phase := h.phase.Load(); phase >= 0 {
			p.counts[phase].add(p.socket.readAt - due)
		}
		due += interval
	}
	return nil
}

// record counts for so long, and tells it under a name.
func (h *honest) record(ctx context.Context, length time.Duration, phase int, name string, result *Result) error {
	h.phase.Store(int32(phase))
	err := sleep(ctx, length)
	h.phase.Store(-1)
	var all histogram
	for _, p := range h.askers {
		all.merge(&p.counts[phase])
	}
	result.set(name+"_p50_ms", all.quantile(0.50))
	result.set(name+"_p99_ms", all.quantile(0.99))
	return err
}

// measure records without an attack.
func (h *honest) measure(ctx context.Context, options Options, name string, result *Result) error {
	phase := 0
	if name == "after" {
		phase = attackPhases - 1
	}
	return h.record(ctx, options.Duration, phase, name, result)
}

// besides records beside an attack, and then waits until the server has only the honest clients.
func (h *honest) besides(ctx context.Context, target *Target, options Options, a attack, health func(context.Context) (float64, error), result *Result) error {
	// Of an earlier attack some connections may be left, fewer as time goes by.
	own, err := health(ctx)
	if err != nil {
		return err
	}
	attacking, end := context.WithCancel(ctx)
	defer end()
	seen := newTally()
	var group sync.WaitGroup
	group.Go(func() { a.run(attacking, target, seen) })
	var most atomic.Int64
	group.Go(func() { watchMemory(attacking, options.PIDs, &most) })

	failed := h.failed.Load()
	phase := 1
	for i := range attacks {
		if attacks[i].name == a.name {
			phase = 1 + i
		}
	}
	err = h.record(ctx, options.Duration, phase, a.name, result)
	open, healthErr := health(ctx)
	end()
	ended := now()
	group.Wait()
	if err := errors.Join(err, healthErr); err != nil {
		return err
	}
	result.set(a.name+"_open", open-own)
	result.set(a.name+"_failed", float64(h.failed.Load()-failed))
	result.set(a.name+"_rss_mib", float64(most.Load())/(1<<20))
	if allowed := result.Values["idle_rss_mib"] + float64(options.HubBuffer)/(1<<20); options.HubBuffer > 0 {
		used := float64(most.Load()) / (1 << 20) / allowed
		result.set(a.name+"_of_allowed", used)
		result.set("most_of_allowed", max(used, result.Values["most_of_allowed"]))
	}
	for _, note := range seen.notes() {
		result.Notes = append(result.Notes, a.name+": "+note)
	}
	for {
		left, err := health(ctx)
		if err != nil {
			return err
		}
		if left <= own {
			result.set(a.name+"_recovery_ms", (now()-ended).Seconds()*1000)
			return nil
		}
		if now()-ended > options.Settle {
			result.Notes = append(result.Notes, fmt.Sprintf("%s: %.0f connections are left after %s", a.name, left-own, options.Settle))
			h.left += left - own
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// watchMemory keeps the most resident memory of the server.
func watchMemory(ctx context.Context, pids []int, most *atomic.Int64) {
	for len(pids) > 0 && sleep(ctx, 250*time.Millisecond) == nil {
		if usage, err := proc.Measure(pids); err == nil && usage.RSS > most.Load() {
			most.Store(usage.RSS)
		}
	}
}

// healthOf asks how many connections there are.
func healthOf(target *Target) (ask func(context.Context) (float64, error), done func()) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}}
	client := &http.Client{Transport: transport, Timeout: stepTimeout}
	return func(ctx context.Context) (float64, error) {
		health, err := readHealth(ctx, client, target)
		return health["connections"], err
	}, transport.CloseIdleConnections
}
