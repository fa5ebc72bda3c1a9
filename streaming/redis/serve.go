package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// refuse counts and logs a message that is not understood.
func (a *adapter) refuse(channel, payload string, err error) {
	a.refused.Add(0, 1)
	kind := "unreadable"
	hint := "whoever publishes it must be a Socket.IO server or emitter with the adapter's own parser"
	switch {
	case errors.Is(err, errUnknownPacket), errors.Is(err, errUnknownType):
		kind, hint = "unknown", "whoever publishes it may be of another version"
	case errors.Is(err, errTooLarge):
		kind, hint = "large", "max_message may be greater elsewhere"
	}
	a.node.line(kind, slog.LevelWarn, "a message of another server is refused", "namespace", a.local.Namespace(),
		"channel", shortened(channel), "bytes", len(payload), "error", err.Error(), "hint", hint)
}

// shortened makes what others have written fit for a line.
func shortened(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.ToValidUTF8(text, "?")
}

// errUnknownType is a request that this server does not know.
var errUnknownType = errors.New("it is a request of an unknown type")

// obey does what another server asks for.
func (a *adapter) obey(kind int, e *envelope) error {
	a.received.Add(0, 1)
	switch kind {
	case requestSockets, requestRooms, requestFetch:
		a.tellSockets(kind, e)
	case requestJoin:
		a.change(e, func(t streaming.Target) { a.local.Join(t, e.rooms()) })
	case requestLeave:
		a.change(e, func(t streaming.Target) { a.local.Leave(t, e.rooms()) })
	case requestDisconnect:
		a.change(e, func(t streaming.Target) { a.local.Disconnect(t, e.Close) })
	case requestServerSide:
		return a.told(e)
	case requestBroadcast:
		return a.called(e)
	}
	return nil
}

// rooms are those that sockets are to join or to leave.
func (e *envelope) rooms() []string {
	if e.Opts == nil {
		return []string{string(e.Room)}
	}
	return namesOf(e.Rooms)
}

// change does something with sockets. A request that names one socket is answered by the server that
// has it.
func (a *adapter) change(e *envelope, do func(streaming.Target)) {
	if e.Opts != nil {
		do(e.Opts.target())
		return
	}
	if e.SID == "" || !a.local.Has(e.SID) {
		return
	}
	do(streaming.Target{Rooms: []string{e.SID}})
	a.respond(e, "the answer to a request", &response{kind: responseDone})
}

// tellSockets answers which sockets or rooms there are.
func (a *adapter) tellSockets(kind int, e *envelope) {
	var t streaming.Target
	if e.Opts != nil {
		t = e.Opts.target()
	} else {
		t.Rooms = namesOf(e.Rooms)
	}
	states := a.local.Sockets(t)
	r := &response{kind: kind, sockets: make([]socketJSON, 0, len(states)), names: []string{}}
	seen := make(map[string]bool)
	for i := range states {
		state := &states[i]
		switch kind {
		case requestFetch:
			r.sockets = append(r.sockets, socketOf(state))
		case requestSockets:
			r.names = append(r.names, state.ID)
		case requestRooms:
			for _, room := range slices.Concat([]string{state.ID}, state.Rooms) {
				if !seen[room] {
					seen[room] = true
					r.names = append(r.names, room)
				}
			}
		}
	}
	a.respond(e, "the answer to a request", r)
}

// told hands an event to the event sets. Who waits for an answer is told that it has come here.
func (a *adapter) told(e *envelope) error {
	event, args, err := e.event(e.Data)
	if err != nil {
		return err
	}
	a.local.Tell(event, args)
	if e.RequestID != "" {
		a.respond(e, "the answer to a request", &response{kind: requestServerSide})
	}
	return nil
}

// called asks the clients of this process, and publishes their answers.
func (a *adapter) called(e *envelope) error {
	event, args, err := a.event(e)
	if err != nil || event == "" {
		return err
	}
	timeout := a.options().RequestTimeout
	if t := e.Opts.Flags.Timeout; t >= 1 {
		timeout = time.Duration(min(t, float64(maxCall.Milliseconds()))) * time.Millisecond
	}
	p := &packet.Packet{
		Type: packet.TypeEvent, Namespace: a.local.Namespace(), HasID: true, Event: event, Args: args, Flags: e.Opts.packetFlags(),
	}
	a.askHere(timeout, p, e.Opts.target(),
		func(asked int) {
			a.respond(e, "the answer to a request", &response{kind: responseAskedCount, count: asked})
		},
		func(r streaming.Reply) { a.answer(e, r) })
	return nil
}

// askHere asks the clients of this process: asked is told how many, reply is called with the answer of each.
func (a *adapter) askHere(timeout time.Duration, p *packet.Packet, t streaming.Target, asked func(int), reply func(streaming.Reply)) {
	ctx, cancel := context.WithTimeout(a.ctx, timeout)
	// left is how many answers are owed, less those that are asked.
	var left atomic.Int64
	n := a.local.Call(ctx, p, t, func(r streaming.Reply) {
		reply(r)
		if left.Add(-1) == 0 {
			cancel()
		}
	})
	asked(n)
	if left.Add(int64(n)) == 0 {
		cancel()
	}
}

// event reads the event of a broadcast or a call. The name is empty for one of another namespace.
func (a *adapter) event(e *envelope) (name string, args packet.Args, err error) {
	var sent struct {
		Type      *int            `json:"type"`
		Data      json.RawMessage `json:"data"`
		Namespace *string         `json:"nsp"`
	}
	if err := json.Unmarshal(e.Packet, &sent); err != nil {
		return "", packet.Args{}, fmt.Errorf("%w: %w", errUnknownPacket, err)
	}
	if sent.Namespace != nil && *sent.Namespace != a.local.Namespace() {
		return "", packet.Args{}, nil
	}
	if sent.Type == nil || *sent.Type != eventType && *sent.Type != binaryEventType || e.Opts == nil {
		return "", packet.Args{}, errUnknownPacket
	}
	name, args, err = e.event(sent.Data)
	if err == nil {
		err = packet.CheckEvent(name)
	}
	return name, args, err
}

// answer publishes one client's answer to a call. Servers of Node.js do not hear of those that do
// not answer.
func (a *adapter) answer(e *envelope, r streaming.Reply) {
	if e.Extended || r.Err == nil {
		a.respond(e, "the answer of a client", &response{kind: responseAck, reply: r})
	}
}
