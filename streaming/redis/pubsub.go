package redis

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// pubsub is the protocol of @socket.io/redis-adapter: broadcasts are MessagePack, on a channel of the
// namespace, to which that of a room is added where there is one; requests and responses are JSON
// where nothing in them is binary.
type pubsub struct{}

func (pubsub) verb() verb { return publish }

// names are the channels of a namespace, without the prefix.
func (pubsub) names(a *adapter) (broadcasts, requests, responses, toMe string) {
	return a.name, "-request" + a.name, "-response" + a.name, "-response" + a.name + a.node.uid + "#"
}

func (p pubsub) channels(a *adapter, prefix string) channels {
	broadcasts, requests, responses, toMe := p.names(a)
	return channels{
		patterns: []string{globbed.Replace(prefix+broadcasts) + "*"},
		plain:    []string{prefix + requests, prefix + responses, prefix + toMe},
	}
}

// globbed escapes what has a meaning in a pattern.
var globbed = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func (pubsub) counted(a *adapter, prefix string) (channel string, sharded bool) {
	return prefix + "-request" + a.name, false
}

func (pubsub) broadcast(a *adapter, p *packet.Packet, t streaming.Target, o *Options) (message, error) {
	payload, err := encodeBroadcast(a.node.uid, p, t, o.MaxMessage)
	channel := o.Prefix + a.name
	if len(t.Rooms) == 1 {
		channel += t.Rooms[0] + "#"
	}
	return message{channel: channel, payload: payload}, err
}

// requestJSON is a request as the reference implementation writes it.
type requestJSON struct {
	UID       string          `json:"uid"`
	RequestID string          `json:"requestId,omitempty"`
	Type      int             `json:"type"`
	Opts      *whomJSON       `json:"opts,omitempty"`
	Rooms     []string        `json:"rooms,omitempty"`
	Close     *bool           `json:"close,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// whomJSON is whom a request is about. MayJoin is known to servers of this kind alone.
type whomJSON struct {
	Rooms   []string `json:"rooms"`
	Except  []string `json:"except"`
	MayJoin string   `json:"mayJoin,omitempty"`
}

func whom(t streaming.Target) *whomJSON {
	return &whomJSON{Rooms: append([]string{}, t.Rooms...), Except: append([]string{}, t.Except...), MayJoin: t.MayJoin}
}

func (pubsub) request(a *adapter, r *request, o *Options) (message, error) {
	payload, err := encodeRequest(a.node.uid, r, o.MaxMessage)
	if err == nil {
		payload, err = checked(payload, o.MaxMessage)
	}
	return message{channel: o.Prefix + "-request" + a.name, payload: payload}, err
}

// encodeRequest returns a request. One that has binary data is MessagePack.
func encodeRequest(uid string, r *request, most int) ([]byte, error) {
	written := requestJSON{UID: uid, RequestID: r.id, Type: r.kind}
	switch r.kind {
	case requestBroadcast:
		return encodeCall(uid, r.id, r.packet, r.target, r.timeout, most)
	case requestServerSide:
		if len(r.packet.Args.Attachments()) > 0 {
			return encodeTold(uid, r.packet, most)
		}
		written.Data = appendEvent(nil, r.packet)
		return compact(written)
	case requestDisconnect:
		written.Close = &r.close
	}
	written.Opts, written.Rooms = whom(r.target), r.rooms
	return compact(written)
}

// encodeTold returns an event with binary data for the event sets of other servers.
func encodeTold(uid string, p *packet.Packet, most int) ([]byte, error) {
	list, n, err := appendArgs(nil, p.Args, most)
	if err != nil {
		return nil, err
	}
	dst := appendStr(appendStr(appendMap(nil, 3), "uid"), uid)
	dst = append(appendStr(dst, "type"), requestServerSide)
	dst = appendStr(appendArray(appendStr(dst, "data"), n+1), p.Event)
	return append(dst, list...), nil
}

func (pubsub) response(a *adapter, to *envelope, r *response, o *Options) (message, error) {
	payload, err := encodeResponse(to, r, o.MaxMessage)
	if err == nil {
		payload, err = checked(payload, o.MaxMessage)
	}
	return message{channel: o.Prefix + "-response" + a.name, payload: payload}, err
}

// responseJSON is a response as the reference implementation writes it.
type responseJSON struct {
	Type        int    `json:"type,omitempty"`
	RequestID   string `json:"requestId"`
	Sockets     any    `json:"sockets,omitempty"`
	Rooms       any    `json:"rooms,omitempty"`
	ClientCount *int   `json:"clientCount,omitempty"`
}

// encodeResponse returns a response. Those of clients are MessagePack.
func encodeResponse(to *envelope, r *response, most int) ([]byte, error) {
	written := responseJSON{RequestID: to.RequestID}
	switch r.kind {
	case responseAck:
		if to.Extended {
			return encodeReply(to.RequestID, r.reply, most)
		}
		return encodeAck(to.RequestID, r.reply, most)
	case requestFetch:
		written.Sockets = r.sockets
	case requestSockets:
		written.Sockets = r.names
	case requestRooms:
		written.Rooms = r.names
	case responseAskedCount:
		written.Type, written.ClientCount = r.kind, &r.count
	case requestServerSide:
		written.Type = r.kind
	}
	return compact(written)
}

func (p pubsub) take(a *adapter, channel, payload string) (own bool, err error) {
	broadcasts, requests, responses, toMe := p.names(a)
	switch {
	case strings.HasPrefix(channel, broadcasts):
		return true, p.takeBroadcast(a, channel[len(broadcasts):], payload)
	case channel == requests:
		return true, p.takeRequest(a, payload)
	case channel == responses, channel == toMe:
		return true, p.takeResponse(a, payload)
	}
	return false, nil
}

func (pubsub) takeBroadcast(a *adapter, room, payload string) error {
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
func (pubsub) read(a *adapter, payload string) (*envelope, error) {
	if len(payload) > a.options().MaxMessage {
		return nil, errTooLarge
	}
	return readEnvelope(payload)
}

func (p pubsub) takeRequest(a *adapter, payload string) error {
	e, err := p.read(a, payload)
	if err != nil || e.UID == a.node.uid {
		return err
	}
	if e.Type == nil {
		return errUnknownType
	}
	if *e.Type < requestSockets || *e.Type > requestBroadcast {
		return fmt.Errorf("%w: %d", errUnknownType, *e.Type)
	}
	return a.obey(*e.Type, e)
}

func (p pubsub) takeResponse(a *adapter, payload string) error {
	e, err := p.read(a, payload)
	if err == nil {
		a.answered(e)
	}
	return err
}
