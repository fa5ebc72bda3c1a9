package streaming

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// SocketState is what is known of a socket at one moment. Of a socket of another
// process it is what the [Adapter] was told; what others do not tell is zero.
type SocketState struct {
	ID        string
	Namespace string
	// Handshake is the first request of the client's connection. It is not nil,
	// and must not be changed.
	Handshake *engineio.Handshake
	// Auth is the payload with which the client connected: a JSON object, or
	// nil. It may hold credentials, and must not be changed.
	Auth json.RawMessage
	// Data is what other processes tell of their socket besides: any JSON
	// value. It is nil for a socket of this process.
	Data json.RawMessage
	// Identity is the ID of the client's identity, or empty.
	Identity string
	// Rooms are the rooms it has joined, in order.
	Rooms []string
	engineio.SessionState
}

// Find returns the socket of that ID, or else the one that clients know by it, see
// [Handlers.OnFind]. It returns nil when there is none.
func (n *Namespace) Find(id string) *Socket {
	if s := n.rooms.find(id); s != nil {
		return s
	}
	for _, find := range n.handlers.Load().find {
		if s := find(id); s != nil {
			return s
		}
	}
	return nil
}

// Size is the number of sockets, and that of the rooms they have joined.
func (n *Namespace) Size() (sockets, rooms int) { return n.rooms.size() }

// RoomPage lists rooms in the order of their names: the first limit, at least one, of those
// after the name given. more is true when there are others behind them.
func (n *Namespace) RoomPage(after string, limit int) (rooms []RoomSize, more bool) {
	p := page[RoomSize]{after: after, limit: max(limit, 1), key: func(r RoomSize) string { return r.Name }}
	for name, sockets := range n.rooms.sizes() {
		p.add(RoomSize{Name: name, Sockets: sockets})
	}
	return p.items, p.more
}

// Find is [Namespace.Find] in all namespaces.
func (s *Server) Find(id string) *Socket {
	for _, n := range s.Namespaces() {
		if socket := n.Find(id); socket != nil {
			return socket
		}
	}
	return nil
}

// Lookup returns the namespace of that name, or nil.
func (s *Server) Lookup(name string) *Namespace { return s.namespace(name) }

// SocketQuery says which sockets to list.
type SocketQuery struct {
	// Namespaces are where to look.
	Namespaces []*Namespace
	// Room, when not empty, leaves out those who are not in it.
	Room string
	// Identity, when not empty, leaves out those whose client has another one.
	Identity string
	// Slow leaves out those who keep up.
	Slow bool
	// After and Limit choose a page: the first Limit, at least one, of those whose IDs come
	// after After.
	After string
	Limit int
}

// SocketPage lists sockets in the order of their IDs. more is true when there
// are others behind them.
func SocketPage(q SocketQuery) (sockets []*Socket, more bool) {
	var target Target
	if q.Room != "" {
		target.Rooms = []string{q.Room}
	}
	p := page[*Socket]{after: q.After, limit: max(q.Limit, 1), key: func(s *Socket) string { return s.id }}
	for _, n := range q.Namespaces {
		for _, s := range n.rooms.sockets(target) {
			if (q.Identity == "" || s.identityID() == q.Identity) && (!q.Slow || s.client().session.State().Slow) {
				p.add(s)
			}
		}
	}
	return p.items, p.more
}

// KickIdentity disconnects the sockets of a client in namespaces, see
// [Socket.Kick], and returns how many they were. Whoever has its token may connect
// again. What authenticators remember of the client is forgotten also where it has no
// socket now.
func KickIdentity(namespaces []*Namespace, id string, closeConnection bool) (sockets int) {
	for _, n := range namespaces {
		n.forget(id)
		for _, s := range n.Everyone().Sockets() {
			if id != "" && s.identityID() == id {
				s.Kick(closeConnection)
				sockets++
			}
		}
	}
	return sockets
}

// State returns the state of the socket.
func (s *Socket) State() SocketState {
	rooms := slices.Clone(s.Rooms())
	slices.Sort(rooms)
	return SocketState{
		ID:           s.id,
		Namespace:    s.namespace.name,
		Handshake:    s.Handshake(),
		Auth:         s.Auth(),
		Identity:     s.identityID(),
		Rooms:        rooms,
		SessionState: s.client().session.State(),
	}
}

// page keeps the first few of many in the order of their keys, without holding
// on to the others.
type page[T any] struct {
	after string
	limit int
	key   func(T) string
	items []T
	more  bool
}

func (p *page[T]) add(item T) {
	key := p.key(item)
	if key <= p.after {
		return
	}
	if len(p.items) == p.limit && key > p.key(p.items[p.limit-1]) {
		p.more = true
		return
	}
	at, there := slices.BinarySearchFunc(p.items, key, func(item T, key string) int { return cmp.Compare(p.key(item), key) })
	if there {
		return
	}
	if len(p.items) == p.limit {
		p.items = p.items[:p.limit-1]
		p.more = true
	}
	p.items = slices.Insert(p.items, at, item)
}
