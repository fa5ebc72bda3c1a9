package redis

import (
	"strings"
	"unicode/utf16"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// sharded is the protocol of the sharded adapter of @socket.io/redis-adapter, in its mode "dynamic": a
// broadcast to one room goes to a channel of its own, which those servers subscribe that have the room.
// A message is JSON, or MessagePack where something in it is binary.
type sharded struct{}

func (sharded) verb() verb { return shardedPublish }

func (sharded) channels(a *adapter, prefix string) channels {
	list := []string{prefix + a.name, prefix + a.name + a.node.uid + "#"}
	for room := range a.local.Rooms() {
		if hasChannel(room) {
			list = append(list, roomChannel(a, prefix, room))
		}
	}
	return channels{sharded: list}
}

// hasChannel reports whether a room has a channel of its own. A name as long as the ID of a socket has
// none, since the reference implementation takes it for one.
func hasChannel(room string) bool {
	const idLength = 20
	if len(room) < idLength || len(room) > 3*idLength {
		return true
	}
	length := 0
	for _, r := range room {
		length += utf16.RuneLen(r)
	}
	return length != idLength
}

func roomChannel(a *adapter, prefix, room string) string { return prefix + a.name + room + "#" }

func (sharded) counted(a *adapter, prefix string) (channel string, sharded bool) {
	return prefix + a.name, true
}

// message is one of a channel, as it is published.
func (sharded) message(channel string, m *clusterMessage, most int) (message, error) {
	payload := m.text()
	var err error
	if len(m.attachments) > 0 {
		payload, err = m.packed(most)
	}
	if err == nil {
		payload, err = checked(payload, most)
	}
	return message{verb: shardedPublish, channel: channel, payload: payload}, err
}

func (s sharded) broadcast(a *adapter, p *packet.Packet, t streaming.Target, o *Options) (message, error) {
	channel := o.Prefix + a.name
	if len(t.Rooms) == 1 && hasChannel(t.Rooms[0]) {
		channel = roomChannel(a, o.Prefix, t.Rooms[0])
	}
	return s.message(channel, a.broadcastOf(p, t, "", 0), o.MaxMessage)
}

func (s sharded) request(a *adapter, r *request, o *Options) (message, error) {
	return s.message(o.Prefix+a.name, a.requestOf(r), o.MaxMessage)
}

func (s sharded) response(a *adapter, to *envelope, r *response, o *Options) (message, error) {
	m, err := a.responseOf(to, r)
	if err != nil {
		return message{}, err
	}
	return s.message(o.Prefix+a.name+to.UID+"#", m, o.MaxMessage)
}

func (sharded) take(a *adapter, channel, payload string) (own bool, err error) {
	if !strings.HasPrefix(channel, a.name) {
		return false, nil
	}
	return a.takePayload(payload)
}
