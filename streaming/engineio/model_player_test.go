package engineio

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/model"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// happeningKind says what has happened to a player's session.
type happeningKind uint8

const (
	polls     happeningKind = iota // the client polls
	connects                       // the client begins on a WebSocket
	upgrades                       // the client opens a WebSocket to move to
	blocks                         // the client stops taking what comes
	unblocks                       // the client goes on taking it
	abandons                       // the client gives a poll up
	posts                          // the client begins a POST
	completes                      // the client has sent the body of a POST
	misforms                       // the client has sent a POST of a form that is not allowed
	cutsPost                       // the client gives a POST up
	says                           // the client sends a text message on a socket
	saysBytes                      // the client sends a binary message on a socket
	pings                          // the client sends a ping frame
	closes                         // the client sends a close frame
	violates                       // the client breaks the WebSocket protocol
	cuts                           // the client ends a connection
	sends                          // the program sends a message
	ends                           // the program closes the session
	fails                          // the program makes no sense of a message
	panics                         // the program panics when it hears a message
	takes                          // the client takes some of what comes, and stops again
	holds                          // answers are held back, or no longer
	releases                       // polls are to end
	shuts                          // the server is shut down

	pollAnswered
	answerBroken // the server breaks off the answer of a poll
	postAnswered
	socketAnswered
	bytesCame      // bytes came on a socket
	connEnded      // the server has ended a connection
	messageHeard   // the program hears a message
	closeHeard     // the program hears of the end
	handlerChanged // a handler begins or ends
)

// happening is one thing that has happened to a player's session.
type happening struct {
	kind    happeningKind
	at      time.Duration
	request *request
	socket  *socket
	message model.Message
	text    string
	ok      bool
	// status is that of an answer, or how many bytes are taken, or sent against the protocol.
	status int
}

// socket is a WebSocket of a player.
type socket struct {
	conn  *lineConn
	model *model.Socket
	came  []byte
	// left is true once the client has ended the connection.
	left bool
}

// player is one client and the program's side of its session.
type player struct {
	play    *play
	number  int
	begun   bool
	session atomic.Pointer[Session]

	// sending is held while the program sends or closes, so that what is noted is in the order
	// in which it was done.
	sending sync.Mutex
	count   atomic.Int32
	busy    atomic.Int32

	mu sync.Mutex
	// log is what the model does not know yet, told what it was told last.
	log, told []happening

	// What follows is touched by the driver alone.
	model      *model.Session
	pollModels map[*request]*model.Poll
	postModels map[*request]*model.Post
	polls      []*request
	posts      []*request
	sockets    []*socket
	current    *socket
	said       int
}

func (p *player) note(e happening) int {
	e.at = p.play.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, e)
	return len(p.log) - 1
}

// isQuiet reports whether the model knows of all that has happened.
func (p *player) isQuiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.log) == 0
}

// feed tells the model what has happened.
func (p *player) feed() error {
	p.mu.Lock()
	log := p.log
	p.log, p.told = p.told[:0], log
	p.mu.Unlock()
	for i := range log {
		if err := p.tell(&log[i]); err != nil {
			return err
		}
	}
	clear(log)
	return nil
}

// tell tells the model one thing.
func (p *player) tell(e *happening) error {
	m := p.model
	if m == nil {
		m = model.New(p.modelOptions(), e.at)
		p.model = m
	}
	switch e.kind {
	case polls:
		p.pollModels[e.request] = m.Poll(e.at, e.ok)
	case connects:
		e.socket.model = m.Connect(e.at)
	case upgrades:
		e.socket.model = m.Upgrade(e.at)
	case blocks, unblocks:
		if e.socket != nil {
			e.socket.model.Blocked(e.at, e.kind == blocks)
		} else {
			m.Blocked(e.at, p.pollModels[e.request], e.kind == blocks)
		}
	case takes:
		if e.socket != nil {
			e.socket.model.Took(e.at, e.status)
		} else {
			m.Took(e.at, p.pollModels[e.request], e.status)
		}
	case abandons:
		p.polls = slices.DeleteFunc(p.polls, func(r *request) bool { return r == e.request })
		m.Abandon(e.at, p.pollModels[e.request])
	case posts:
		p.postModels[e.request] = m.Post(e.at)
	case completes:
		m.Complete(e.at, p.postModels[e.request], e.text, true)
	case misforms:
		m.Complete(e.at, p.postModels[e.request], e.text, false)
	case cutsPost:
		p.posts = slices.DeleteFunc(p.posts, func(r *request) bool { return r == e.request })
		m.CutPost(e.at, p.postModels[e.request])
	case says:
		e.socket.model.Text(e.at, e.text)
	case saysBytes:
		e.socket.model.Bytes(e.at, e.text)
	case pings:
		e.socket.model.Ping(e.at, e.text)
	case closes:
		e.socket.model.Close(e.at)
	case violates:
		e.socket.model.Violate(e.at, e.text, e.status)
	case cuts:
		e.socket.model.Cut(e.at)
	case sends:
		return m.Sent(e.at, e.message, e.ok)
	case ends:
		m.Close(e.at, e.text)
	case fails:
		m.ParseFailed(e.at)
	case panics:
		m.Panicked(e.at)
	case holds:
		m.Held(e.at, e.ok)
	case releases:
		m.Released(e.at)
	case shuts:
		m.Shutdown(e.at, string(ReasonShutdown), e.ok)
	default:
		return p.observe(e)
	}
	return nil
}

// observe tells the model something that the client or the program observes.
func (p *player) observe(e *happening) error {
	m := p.model
	switch e.kind {
	case pollAnswered:
		p.polls = slices.DeleteFunc(p.polls, func(r *request) bool { return r == e.request })
		poll := p.pollModels[e.request]
		delete(p.pollModels, e.request)
		return m.Answered(e.at, poll, e.status, e.text)
	case answerBroken:
		p.polls = slices.DeleteFunc(p.polls, func(r *request) bool { return r == e.request })
		return m.Broken(e.at, p.pollModels[e.request])
	case postAnswered:
		p.posts = slices.DeleteFunc(p.posts, func(r *request) bool { return r == e.request })
		post := p.postModels[e.request]
		delete(p.postModels, e.request)
		return m.PostAnswered(e.at, post, e.status, e.text)
	case socketAnswered:
		if e.status != 101 {
			return e.socket.model.Refused(e.at, e.status)
		}
	case bytesCame:
		return e.socket.read(e.at, e.text)
	case connEnded:
		return e.socket.model.Ended(e.at)
	case messageHeard:
		return m.Message(e.at, e.text, e.ok)
	case closeHeard:
		return m.Heard(e.at, e.text)
	}
	return nil
}

// read takes the frames out of what has come.
func (k *socket) read(at time.Duration, came string) error {
	k.came = append(k.came, came...)
	for len(k.came) >= 2 {
		b := k.came
		size, header := int(b[1]&0x7f), 2
		switch {
		case b[0]&0xb0 != 0x80 || b[1]&0x80 != 0:
			return errors.New("a frame of the server is masked, not final, or has reserved bits set")
		case size == 126 && len(b) >= 4:
			size, header = int(binary.BigEndian.Uint16(b[2:])), 4
		case size == 127 && len(b) >= 10:
			size, header = int(binary.BigEndian.Uint64(b[2:])), 10
		case size >= 126:
			return nil
		}
		if len(b) < header+size {
			return nil
		}
		payload := b[header : header+size]
		if b[0]&0x40 != 0 {
			var err error
			if payload, err = inflate(payload); err != nil {
				return fmt.Errorf("a compressed frame: %w", err)
			}
		}
		if err := k.model.Frame(at, b[0]&0x0f, string(payload)); err != nil {
			return err
		}
		k.came = b[header+size:]
	}
	return nil
}

// inflate undoes what section 7.2.1 of RFC 7692 says.
func inflate(payload []byte) ([]byte, error) {
	const end = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	return io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader(end))))
}

// fillers is what messages are filled up with.
var fillers = strings.Repeat("abcdefghijklmnopqrstuvwxyz", 4000)

// compose makes a message, and what the model has to know of it.
func (p *player) compose(prefix string, size, attachments int, flags wire.Flags) (*wire.Message, model.Message) {
	id := prefix + strconv.Itoa(int(p.count.Add(1)))
	content := id + fillers[:size]
	m := model.Message{Packets: make([]model.Packet, 1, 1+attachments), Volatile: flags&wire.Volatile != 0}
	m.Packets[0] = model.Text(content)
	var parts [][]byte
	for i := range attachments {
		data := id + "." + strconv.Itoa(i)
		parts = append(parts, []byte(data))
		m.Packets = append(m.Packets, model.Binary(data))
	}
	return wire.New([][]byte{[]byte(content)}, parts, flags), m
}

// send sends a message to the client.
func (p *player) send(prefix string, size, attachments int, flags wire.Flags) bool {
	return p.sendBy(p.session.Load().Send, prefix, size, attachments, flags)
}

// sendBy sends a message to the client by a method of its session.
func (p *player) sendBy(send func(*wire.Message) bool, prefix string, size, attachments int, flags wire.Flags) bool {
	message, is := p.compose(prefix, size, attachments, flags)
	p.sending.Lock()
	defer p.sending.Unlock()
	at := p.note(happening{kind: sends, message: is})
	ok := send(message)
	p.mu.Lock()
	p.log[at].ok = ok
	p.mu.Unlock()
	return ok
}

// end closes the session by the program.
func (p *player) end(reason Reason) {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.note(happening{kind: ends, text: string(reason)})
	p.session.Load().Close(reason)
}

// The last two characters of a client's message say what the program does with it: a verb and a
// digit.
const (
	verbNothing  = 'n'
	verbReply    = 'r' // send at once
	verbWork     = 'e' // send as work
	verbLong     = 'l' // send, take long, and send
	verbHandOver = 'h' // hand over, take long, and send
	verbEnd      = 'c' // close as work, and go on
	verbEndNow   = 'd' // close at once
	verbNonsense = 'x' // make no sense of it
	verbPanic    = 'p' // panic
)

// handlerPause is what a handler waits for each unit.
const handlerPause = 2 * wheelTick

var errNonsense = errors.New("the message makes no sense")

// Message implements Listener.
func (p *player) Message(data []byte, isBinary bool) (Work, error) {
	p.note(happening{kind: messageHeard, text: string(data), ok: isBinary})
	if len(data) < 2 {
		return nil, nil
	}
	verb, n := data[len(data)-2], int(data[len(data)-1]-'0')
	switch verb {
	case verbReply:
		for range n {
			p.send("r", 0, 0, 0)
		}
	case verbEndNow:
		p.end(ReasonForcedClose)
	case verbNonsense:
		p.note(happening{kind: fails})
		return nil, errNonsense
	case verbPanic:
		p.note(happening{kind: panics})
		panic("deliberate")
	case verbWork, verbLong, verbHandOver, verbEnd:
		p.busy.Add(1)
		return &playerWork{p, verb, n}, nil
	}
	return nil, nil
}

// Close implements Listener.
func (p *player) Close(reason Reason) { p.note(happening{kind: closeHeard, text: string(reason)}) }

// playerWork is what a message leaves to be done.
type playerWork struct {
	player *player
	verb   byte
	n      int
}

func (w *playerWork) Run() {
	p := w.player
	defer p.busy.Add(-1)
	switch w.verb {
	case verbWork:
		for range w.n {
			p.sendBy(p.session.Load().Answer, "w", 0, 0, 0)
		}
	case verbLong, verbHandOver:
		if w.verb == verbHandOver {
			p.session.Load().HandOver()
		}
		p.sendBy(p.session.Load().Answer, "l", 0, 0, 0)
		time.Sleep(time.Duration(w.n) * handlerPause)
		p.send("l", 0, 0, 0)
	case verbEnd:
		p.send("c", 0, 0, 0)
		p.end(ReasonForcedClose)
		time.Sleep(time.Duration(w.n) * handlerPause)
		p.send("c", 0, 0, 0)
	}
}

func (w *playerWork) Start() { go w.Run() }

// frameOf encodes a frame of a client, whose mask is zero.
func frameOf(op ws.OpCode, fin bool, payload string) []byte {
	b := make([]byte, 0, 14+len(payload))
	first := byte(op)
	if fin {
		first |= 0x80
	}
	b = append(b, first)
	switch {
	case len(payload) < 126:
		b = append(b, 0x80|byte(len(payload)))
	case len(payload) <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(payload)))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(len(payload)))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}
