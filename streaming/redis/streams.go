package redis

import (
	"encoding/base64"
	"strconv"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// streams is the protocol of @socket.io/redis-streams-adapter: broadcasts, and what is done with sockets,
// are entries of one stream for all namespaces, from which a server that was cut off reads on. What is to be
// answered, and answers, are MessagePack that is published.
type streams struct{}

func (streams) verb() verb { return publish }

func (streams) channels(a *adapter, prefix string) channels {
	return channels{plain: []string{prefix + a.name, prefix + a.name + a.node.uid + "#"}}
}

func (streams) counted(a *adapter, prefix string) (channel string, sharded bool) {
	return prefix + a.name, false
}

// entry is a message as an entry of the stream, whose name is the prefix.
func (streams) entry(m *clusterMessage, o *Options) (message, error) {
	data, err := m.data, error(nil)
	if len(m.attachments) > 0 {
		var packed []byte
		if packed, err = pack(m.data, m.attachments, dataDepth, o.MaxMessage); err == nil {
			data = base64.StdEncoding.AppendEncode(make([]byte, 0, base64.StdEncoding.EncodedLen(len(packed))), packed)
		}
	}
	if err == nil {
		data, err = checked(data, o.MaxMessage)
	}
	fields := []string{"uid", m.uid, "nsp", m.namespace, "type", strconv.Itoa(m.kind)}
	return message{verb: addToStream, channel: o.Prefix, fields: fields, payload: data}, err
}

// passing is a message that nobody reads later.
func (streams) passing(channel string, m *clusterMessage, most int) (message, error) {
	payload, err := m.packed(most)
	return message{channel: channel, payload: payload}, err
}

func (s streams) broadcast(a *adapter, p *packet.Packet, t streaming.Target, o *Options) (message, error) {
	return s.entry(a.broadcastOf(p, t, "", 0), o)
}

func (s streams) request(a *adapter, r *request, o *Options) (message, error) {
	switch r.kind {
	case requestBroadcast, requestServerSide, requestFetch:
		return s.passing(o.Prefix+a.name, a.requestOf(r), o.MaxMessage)
	}
	return s.entry(a.requestOf(r), o)
}

func (s streams) response(a *adapter, to *envelope, r *response, o *Options) (message, error) {
	m, err := a.responseOf(to, r)
	if err != nil {
		return message{}, err
	}
	return s.passing(o.Prefix+a.name+to.UID+"#", m, o.MaxMessage)
}

func (streams) take(a *adapter, channel, payload string) (own bool, err error) {
	if channel != a.name && channel != a.name+a.node.uid+"#" {
		return false, nil
	}
	return a.takePayload(payload)
}
