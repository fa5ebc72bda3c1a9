package engineio

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/model"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// op is what a step does.
type op uint8

const (
	opOpen op = iota
	opPoll
	opAbandon
	opBlock
	opUnblock
	opTrickle
	opPost
	opPostSlowly
	opPostMore
	opPostCut
	opPong
	opUpgrade
	opProbe
	opConfirm
	opFrame
	opCloseFrame
	opUpdateKeys
	opCut
	opSend
	opBroadcast
	opEnd
	opEndSome
	opSleep
	opGate
	opRelease
	opReload
	opShutdown
	opCount
)

var opNames = [opCount]string{
	"opOpen", "opPoll", "opAbandon", "opBlock", "opUnblock", "opTrickle", "opPost", "opPostSlowly", "opPostMore", "opPostCut", "opPong",
	"opUpgrade", "opProbe", "opConfirm", "opFrame", "opCloseFrame", "opUpdateKeys", "opCut", "opSend", "opBroadcast",
	"opEnd", "opEndSome", "opSleep", "opGate", "opRelease", "opReload", "opShutdown",
}

// opWeights are how often steps are drawn.
var opWeights = [opCount]int{
	opOpen: 2, opPoll: 22, opAbandon: 2, opBlock: 4, opUnblock: 5, opTrickle: 4, opPost: 8, opPostSlowly: 2, opPostMore: 3, opPostCut: 1, opPong: 8,
	opUpgrade: 7, opProbe: 8, opConfirm: 8, opFrame: 10, opCloseFrame: 3, opUpdateKeys: 3, opCut: 2, opSend: 24,
	opBroadcast: 4, opEnd: 3, opEndSome: 1, opSleep: 10, opGate: 2, opRelease: 1, opReload: 1, opShutdown: 1,
}

// step is one thing that a client, the program or the network does.
type step struct {
	op op
	// who is the player, a and b say how it is done.
	who, a, b uint8
	// race is true when the next step does not wait until everything is at rest.
	race bool
}

// program is a list of steps, and the number of the options of the server.
type program struct {
	options int
	steps   []step
}

// playersOf is how many clients there are in a program.
const playersOf = 2

// drawProgram draws a program from a seed.
func drawProgram(seed uint64) program {
	r := rand.New(rand.NewPCG(seed, 1))
	total := 0
	for _, w := range opWeights {
		total += w
	}
	p := program{options: r.IntN(len(playOptions)), steps: make([]step, 0, 64)}
	for i := range 1 + r.IntN(playersOf) {
		p.steps = append(p.steps, step{op: opOpen, who: uint8(i), a: uint8(r.Uint32())})
	}
	for range 20 + r.IntN(40) {
		n, kind := r.IntN(total), op(0)
		for ; n >= opWeights[kind]; kind++ {
			n -= opWeights[kind]
		}
		bits := r.Uint64()
		p.steps = append(p.steps, step{kind, uint8(bits) % playersOf, uint8(bits >> 8), uint8(bits >> 16), bits>>24&3 == 0})
	}
	return p
}

// do does one step.
func (pl *play) do(st step) {
	p := pl.players[int(st.who)%len(pl.players)]
	switch st.op {
	case opSleep:
		time.Sleep(pauses[int(st.a)%len(pauses)])
		return
	case opOpen:
		p.open(st.a)
		return
	case opGate:
		pl.shutGate(!pl.held)
		return
	case opRelease:
		for _, p := range pl.players {
			if s := p.session.Load(); s != nil {
				p.note(happening{kind: releases})
				s.releasePoll()
			}
		}
		return
	case opReload:
		o := playOptions[int(st.a)%len(playOptions)]
		o.LogConnections = pl.options.LogConnections
		o.Limits.Bytes = pl.options.Limits.Bytes
		pl.sharedBuffer = max(pl.sharedBuffer, o.ServerBuffer)
		pl.server.SetOptions(o)
		return
	case opShutdown:
		pl.shutDown(st.a%2 == 0)
		return
	case opBroadcast:
		pl.broadcast(st.a, st.b)
		return
	case opEndSome:
		pl.endSome()
		return
	}
	if p.model == nil || !p.model.IsOpened() {
		if st.op == opUnblock {
			p.unblock()
		}
		return
	}
	p.do(st)
}

// pauses are how long steps sleep.
var pauses = []time.Duration{
	time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 26 * time.Millisecond, 45 * time.Millisecond, 70 * time.Millisecond,
	100 * time.Millisecond, 150 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
}

// do does a step that is about one session, which the client knows.
func (p *player) do(st step) {
	switch st.op {
	case opPoll:
		p.pollIfFit(st.a)
	case opAbandon:
		if len(p.polls) > 0 {
			r := p.polls[0]
			r.giveUp(happening{kind: abandons, request: r})
		}
	case opBlock:
		if k := p.current; k != nil && k.model != nil && !k.model.IsOver() {
			k.conn.change(func() {
				if k.conn.room < 0 {
					k.conn.room = []int{0, 1, 100, 70_000}[st.a%4]
					p.note(happening{kind: blocks, socket: k})
				}
			})
		}
	case opUnblock:
		p.unblock()
	case opTrickle:
		p.trickle([]int{10, 1000, writeChunk, 3 * writeChunk}[st.a%4])
	case opPost:
		if len(p.posts) == 0 || st.a%16 == 3 {
			body := p.body(st.b)
			p.beginPost(body, len(body))
		}
	case opPostSlowly:
		if len(p.posts) == 0 {
			body := p.body(st.b)
			body = body[:min(len(body), int(p.play.options.MaxPayload))]
			p.beginPost(body, len(body)/3)
		}
	case opPostMore:
		if len(p.posts) > 0 {
			p.goOn(p.posts[0], st.a%2 == 0)
		}
	case opPostCut:
		if len(p.posts) > 0 && !p.posts[0].ended {
			r := p.posts[0]
			r.giveUp(happening{kind: cutsPost, request: r})
		}
	case opPong:
		switch {
		case p.onSocket():
			p.say("3")
		case len(p.posts) == 0:
			p.beginPost("3", 1)
		}
	case opSend:
		p.sendSome(st.a, st.b)
	case opEnd:
		p.end([]Reason{ReasonForcedClose, ReasonRateLimit, ReasonOriginRevoked}[st.a%3])
	default:
		p.doOnSocket(st)
	}
}

// onSocket reports whether the client is on a WebSocket.
func (p *player) onSocket() bool {
	return p.moved() && !p.current.model.IsOver() && !p.current.left
}

// moved reports whether the client is, or was, on a WebSocket.
func (p *player) moved() bool {
	return p.current != nil && p.current.model != nil && p.current.model.IsConfirmed()
}

func (p *player) pollIfFit(a uint8) {
	switch {
	case len(p.polls) > 0 && a%32 != 3:
	case p.moved() && a%16 != 5:
	default:
		p.poll(a%8 == 7)
	}
}

func (p *player) unblock() {
	for _, r := range p.polls {
		r.change(func() {
			if r.room >= 0 {
				r.room = -1
				p.note(happening{kind: unblocks, request: r})
			}
		})
	}
	if k := p.current; k != nil && k.model != nil {
		k.conn.change(func() {
			if k.conn.room >= 0 {
				k.conn.room = -1
				p.note(happening{kind: unblocks, socket: k})
			}
		})
	}
}

// trickle has a client that is blocked take so many bytes.
func (p *player) trickle(bytes int) {
	for _, r := range p.polls {
		r.change(func() {
			if r.room >= 0 {
				r.room += bytes
				p.note(happening{kind: takes, request: r, status: bytes})
			}
		})
	}
	if k := p.current; k != nil && k.model != nil {
		k.conn.change(func() {
			if k.conn.room >= 0 {
				k.conn.room += bytes
				p.note(happening{kind: takes, socket: k, status: bytes})
			}
		})
	}
}

func (p *player) open(a uint8) {
	if p.begun || p.play.shut {
		return
	}
	p.begun = true
	if a%3 == 0 {
		p.current = p.dial(connects)
	} else {
		p.poll(a%16 == 7)
	}
	if p.play.held {
		p.note(happening{kind: holds, ok: true})
	}
}

// text is a new message of the client. b says what the program does with it.
func (p *player) text(b uint8) string {
	p.said++
	verb := "nnnrrneelhcdxeen"[b%16]
	if verb == verbNonsense && b>>4%2 == 1 {
		verb = verbPanic
	}
	return strconv.Itoa(p.said) + string(verb) + string('0'+b>>4%4)
}

// body is the body of a POST.
func (p *player) body(b uint8) string {
	message := func(i uint8) string { return "4" + p.text(b+i*37) }
	switch b % 16 {
	case 0, 1, 2, 3:
		return message(0)
	case 4, 5, 6:
		return message(0) + model.Separator + message(1) + model.Separator + message(2)
	case 7, 8:
		return message(0) + model.Separator + "3"
	case 9, 10:
		return message(0) + model.Separator + model.Binary(p.text(b)).Encode()
	case 11:
		return "3" + model.Separator + message(0) + model.Separator + "1"
	case 12:
		return message(0) + model.Separator + "x"
	case 13:
		return []string{"1", "2", "", "4\xff", "b!", "5", "6"}[b>>4%7]
	case 14:
		if b>>4%4 == 0 {
			return "4" + fillers[:2100]
		}
		return message(0)
	default:
		return strings.TrimRight(model.Binary(p.text(b)).Encode(), "=") + model.Separator + message(2)
	}
}

func (p *player) sendSome(a, b uint8) {
	size, attachments, flags := 0, 0, wire.Flags(0)
	switch a % 16 {
	case 0, 1:
		attachments = 1 + int(b%3)
	case 2:
		size = 700
	case 3:
		size = []int{3000, 3000, 3000, 70_000}[b%4]
	case 4, 5:
		flags = wire.Volatile
	case 6:
		size, flags = 5000, wire.Volatile
	}
	for range 1 + b>>4%4 {
		p.send("s", size, attachments, flags)
	}
}

func (pl *play) shutGate(shut bool) {
	pl.held = shut
	for _, p := range pl.players {
		if p.begun {
			p.note(happening{kind: holds, ok: shut})
		}
	}
	if shut {
		pl.gate.Shut()
	} else {
		pl.gate.Open()
	}
}

// shutDown ends the server.
func (pl *play) shutDown(served bool) {
	if pl.shut {
		return
	}
	pl.shut = true
	for _, p := range pl.players {
		if p.begun {
			p.note(happening{kind: shuts, ok: served})
		}
	}
	pl.shutdown = make(chan error, 1)
	pl.alive.Add(1)
	go func() {
		defer pl.alive.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		pl.shutdown <- pl.server.Shutdown(ctx, Farewell{Served: served})
	}()
}

// broadcast sends one message to all.
func (pl *play) broadcast(a, b uint8) {
	var to []*player
	for _, p := range pl.players {
		if p.session.Load() != nil {
			to = append(to, p)
		}
	}
	if len(to) == 0 {
		return
	}
	flags := wire.Flags(0)
	if a%4 == 0 {
		flags = wire.Volatile
	}
	message, is := to[0].compose("b"+strconv.Itoa(to[0].number)+".", 0, int(b%2), flags)
	Broadcast(message, &crowd{message: is, players: to, at: make(map[*player]int)})
}

// crowd is the audience of a broadcast.
type crowd struct {
	message model.Message
	players []*player
	at      map[*player]int
}

func (c *crowd) Lock() [][]*player {
	for _, p := range c.players {
		p.sending.Lock()
		c.at[p] = p.note(happening{kind: sends, message: c.message, ok: true})
	}
	return [][]*player{c.players}
}

func (c *crowd) Unlock() {
	for _, p := range c.players {
		p.sending.Unlock()
	}
}

func (c *crowd) Session(p *player) *Session { return p.session.Load() }

func (c *crowd) Missed(p *player) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log[c.at[p]].ok = false
}

// endSome closes all open sessions.
func (pl *play) endSome() {
	pl.server.CloseIf(ReasonOriginRevoked, func(h *Handshake) bool {
		pl.playerOf(h).note(happening{kind: ends, text: string(ReasonOriginRevoked)})
		return true
	})
}
