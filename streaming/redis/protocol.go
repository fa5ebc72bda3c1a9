package redis

import (
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// The modes: by what of Redis servers speak to each other.
const (
	// ModePubSub is publish and subscribe, as @socket.io/redis-adapter has it by default.
	ModePubSub = "pubsub"
	// ModeSharded is sharded publish and subscribe, which Redis has since version 7, as the sharded
	// adapter of @socket.io/redis-adapter has it.
	ModeSharded = "sharded"
	// ModeStreams is a stream for broadcasts, as @socket.io/redis-streams-adapter has it.
	ModeStreams = "streams"
)

// protocol is how the servers of one mode speak to each other. It has no state.
type protocol interface {
	// channels lists what is subscribed for a namespace.
	channels(a *adapter, prefix string) channels
	// counted is the channel that each server subscribes once for a namespace.
	counted(a *adapter, prefix string) (channel string, sharded bool)
	// broadcast returns what is published for an event.
	broadcast(a *adapter, p *packet.Packet, t streaming.Target, o *Options) (message, error)
	// request returns what is published to have other servers do something.
	request(a *adapter, r *request, o *Options) (message, error)
	// response returns what is published as the answer to a request.
	response(a *adapter, to *envelope, r *response, o *Options) (message, error)
	// take does what others ask by a message. It reports whether the message is one of the
	// namespace's; the channel is without the prefix.
	take(a *adapter, channel, payload string) (own bool, err error)
	// verb is how a link publishes what it says to itself.
	verb() verb
}

// protocolOf returns the protocol of a mode that there is.
func protocolOf(mode string) protocol {
	switch mode {
	case ModeSharded:
		return sharded{}
	case ModeStreams:
		return streams{}
	}
	return pubsub{}
}

// channels are the names of what is subscribed: patterns and channels, those of the sharded kind apart.
type channels struct{ patterns, plain, sharded []string }

func (c *channels) add(more channels) {
	c.patterns = append(c.patterns, more.patterns...)
	c.plain = append(c.plain, more.plain...)
	c.sharded = append(c.sharded, more.sharded...)
}

// verb is how a message is published.
type verb int

const (
	publish verb = iota
	shardedPublish
	addToStream
)

// request is what other servers are asked to do.
type request struct {
	// kind is one of the kinds of requests.
	kind int
	// id is what answers name it by, where there are any.
	id     string
	target streaming.Target
	// rooms are those that are to be joined or left.
	rooms []string
	// close is of requestDisconnect.
	close bool
	// packet is the event of requestBroadcast and requestServerSide.
	packet *packet.Packet
	// timeout is how long clients may take, in milliseconds.
	timeout int64
}

// response is what a request is answered.
type response struct {
	// kind is that of the request, or one of the kinds of responses.
	kind    int
	sockets []socketJSON
	// names are IDs or rooms.
	names []string
	count int
	reply streaming.Reply
}

// responseDone answers a request for one socket.
const responseDone = -1
