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

// take does what others ask by a message. It reports whether the channel is one of the namespace's;
// its name is without the prefix.
func (a *adapter) take(channel, payload string) bool {
	var err error
	switch {
	case strings.HasPrefix(channel, a.broadcasts):
		err = a.takeBroadcast(channel[len(a.broadcasts):], payload)
	case channel == a.requests:
		err = a.takeRequest(payload)
	case channel == a.responses, channel == a.toMe:
		err = a.takeResponse(payload)
	default:
		return false
	}
	if err != nil {
		a.refuse(channel, payload, err)
	}
	return true
}

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
		"channel", shortened(a.options().Prefix+channel), "bytes", len(payload), "error", err.Error(), "hint", hint)
}

// shortened makes what others have written fit for a line.
func shortened(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.ToValidUTF8(text, "?")
}

func (a *adapter) takeBroadcast(room, payload string) error {
	if room = strings.TrimSuffix(room, "#"); room != "" && !a.local.Has(room) {
		return nil
	}
	if len(payload) > a.options().MaxMessage {
		return errTooLarge
	}
	b, err := readBroadcast(payload, a.node.uid, a.local.Namespace())
	if err != nil || b == nil {
		return err
	}
	a.received.Add(0, 1)
	a.local.Broadcast(&b.packet, b.target)
	return nil
}

// read reads a request or a response.
func (a *adapter) read(payload string) (*envelope, error) {
	if len(payload) > a.options().MaxMessage {
		return nil, errTooLarge
	}
	return readEnvelope(payload)
}

// errUnknownType is a request that this server does not know.
var errUnknownType = errors.New("it is a request of an unknown type")

func (a *adapter) takeRequest(payload string) error {
	e, err := a.read(payload)
	if err != nil || e.UID == a.node.uid {
		return err
	}
	if e.Type == nil {
		return errUnknownType
	}
	a.received.Add(0, 1)
	switch *e.Type {
	case requestSockets, requestRooms, requestFetch:
		a.tellSockets(e)
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
	default:
		return fmt.Errorf("%w: %d", errUnknownType, *e.Type)
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
	a.respond(map[string]any{"requestId": e.RequestID})
}

// respond publishes a response.
func (a *adapter) respond(response any) {
	payload, err := compact(response)
	if err == nil {
		payload, err = checked(payload, a.options().MaxMessage)
	}
	if err != nil {
		a.unsent("the answer to a request", err)
		return
	}
	a.publish(a.responses, payload)
}

// tellSockets answers which sockets or rooms there are.
func (a *adapter) tellSockets(e *envelope) {
	var t streaming.Target
	if e.Opts != nil {
		t = e.Opts.target()
	} else {
		t.Rooms = namesOf(e.Rooms)
	}
	states := a.local.Sockets(t)
	switch *e.Type {
	case requestFetch:
		sockets := make([]socketJSON, len(states))
		for i := range states {
			sockets[i] = socketOf(&states[i])
		}
		a.respond(struct {
			RequestID string       `json:"requestId"`
			Sockets   []socketJSON `json:"sockets"`
		}{e.RequestID, sockets})
	case requestSockets:
		ids := make([]string, len(states))
		for i, state := range states {
			ids[i] = state.ID
		}
		a.respond(struct {
			RequestID string   `json:"requestId"`
			Sockets   []string `json:"sockets"`
		}{e.RequestID, ids})
	case requestRooms:
		seen := make(map[string]bool)
		rooms := []string{}
		for _, state := range states {
			for _, room := range slices.Concat([]string{state.ID}, state.Rooms) {
				if !seen[room] {
					seen[room] = true
					rooms = append(rooms, room)
				}
			}
		}
		a.respond(struct {
			RequestID string   `json:"requestId"`
			Rooms     []string `json:"rooms"`
		}{e.RequestID, rooms})
	}
}

// told hands an event to the event sets. Who waits for an answer is told that it has come here.
func (a *adapter) told(e *envelope) error {
	event, args, err := e.event(e.Data)
	if err != nil {
		return err
	}
	a.local.Tell(event, args)
	if e.RequestID != "" {
		a.respond(struct {
			Type      int    `json:"type"`
			RequestID string `json:"requestId"`
		}{requestServerSide, e.RequestID})
	}
	return nil
}

// called asks the clients of this process, and publishes their answers.
func (a *adapter) called(e *envelope) error {
	var sent struct {
		Type      *int            `json:"type"`
		Data      json.RawMessage `json:"data"`
		Namespace *string         `json:"nsp"`
	}
	if err := json.Unmarshal(e.Packet, &sent); err != nil {
		return err
	}
	if sent.Namespace != nil && *sent.Namespace != a.local.Namespace() {
		return nil
	}
	if sent.Type == nil || *sent.Type != eventType && *sent.Type != binaryEventType || e.Opts == nil {
		return errUnknownPacket
	}
	event, args, err := e.event(sent.Data)
	if err == nil {
		err = packet.CheckEvent(event)
	}
	if err != nil {
		return err
	}
	timeout := a.options().RequestTimeout
	if t := e.Opts.Flags.Timeout; t >= 1 {
		timeout = time.Duration(min(t, float64(maxCall.Milliseconds()))) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(a.ctx, timeout)
	// left is how many answers are owed, less those that are asked.
	var left atomic.Int64
	p := &packet.Packet{
		Type: packet.TypeEvent, Namespace: a.local.Namespace(), HasID: true, Event: event, Args: args, Flags: e.Opts.packetFlags(),
	}
	asked := a.local.Call(ctx, p, e.Opts.target(), func(r streaming.Reply) {
		a.answer(e, r)
		if left.Add(-1) == 0 {
			cancel()
		}
	})
	a.respond(struct {
		Type        int    `json:"type"`
		RequestID   string `json:"requestId"`
		ClientCount int    `json:"clientCount"`
	}{responseAskedCount, e.RequestID, asked})
	if left.Add(int64(asked)) == 0 {
		cancel()
	}
	return nil
}

// answer publishes one client's answer to a call. Servers of Node.js do not hear of those that do
// not answer.
func (a *adapter) answer(e *envelope, r streaming.Reply) {
	most := a.options().MaxMessage
	encode := encodeAck
	if e.Extended {
		encode = encodeReply
	} else if r.Err != nil {
		return
	}
	payload, err := encode(e.RequestID, r, most)
	if err != nil {
		a.unsent("the answer of a client", err)
		return
	}
	a.publish(a.responses, payload)
}

func (a *adapter) takeResponse(payload string) error {
	e, err := a.read(payload)
	if err != nil {
		return err
	}
	a.mu.Lock()
	p := a.pending[e.RequestID]
	a.mu.Unlock()
	if p == nil {
		// It is for another server, or comes too late.
		return nil
	}
	a.received.Add(0, 1)
	p.answer(e)
	return nil
}
