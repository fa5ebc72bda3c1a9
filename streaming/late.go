package streaming

import (
	"errors"
	"slices"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// errLate is a packet for a namespace that the server has put the client out of.
// The client could not know of that when it sent the packet.
var errLate = errors.New("packet for a namespace that the server has put the client out of")

// leftBeats is for how many heartbeats a client is not blamed for what it sends to a
// namespace that the server has put it out of. A client that has answered the second
// one has sent that answer after it was told. The others are for clients that are
// read from slowly.
const leftBeats = 4

// leftNamespaces are the namespaces that the server has put a client out of lately,
// the last one last. What a client sends to one of them is dropped, as long as the
// client may have sent it before it was told. What it sends to any other namespace
// that it is not in violates the protocol.
type leftNamespaces []leftNamespace

// leftNamespace is one of leftNamespaces.
type leftNamespace struct {
	name string
	// beats is how many heartbeats there were since.
	beats uint8
}

// add remembers a namespace, and at most so many of them.
func (l *leftNamespaces) add(name string, most int) {
	l.forget(name)
	if len(*l) >= most {
		*l = slices.Delete(*l, 0, len(*l)-most+1)
	}
	*l = append(*l, leftNamespace{name: name})
}

func (l *leftNamespaces) has(name string) bool {
	return slices.ContainsFunc(*l, func(left leftNamespace) bool { return left.name == name })
}

func (l *leftNamespaces) forget(name string) {
	l.forgetIf(func(left *leftNamespace) bool { return left.name == name })
}

// beat takes note of a heartbeat.
func (l *leftNamespaces) beat() {
	l.forgetIf(func(left *leftNamespace) bool {
		left.beats++
		return left.beats >= leftBeats
	})
}

func (l *leftNamespaces) forgetIf(forget func(*leftNamespace) bool) {
	if len(*l) == 0 {
		return
	}
	kept := (*l)[:0]
	for _, left := range *l {
		if !forget(&left) {
			kept = append(kept, left)
		}
	}
	clear((*l)[len(kept):])
	if *l = kept; len(kept) == 0 {
		*l = nil
	}
}

// dismissed takes note that the server ends one of the client's sockets: the client
// has no socket in that namespace from then on.
func (c *client) dismissed(s *Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removeLocked(s) {
		c.left.add(s.namespace.name, c.server.limits.Load().Namespaces)
	}
}

// drop drops a packet that comes late. Events count among those that the client
// sends, as others do.
func (c *client) drop(p *packet.Incoming) error {
	switch p.Type {
	case packet.TypeEvent, packet.TypeBinaryEvent:
		if !c.mayTalk() {
			c.endFor(LimitEvents)
		}
	case packet.TypeAck, packet.TypeBinaryAck:
	case packet.TypeDisconnect:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.left.forget(p.Namespace)
	default:
		return errState
	}
	return nil
}
