package streaming

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// Inspector is what an adapter tells an operator of the sockets of this
// process. Nobody is kept waiting for long, however many there are.
type Inspector interface {
	// Find returns the socket of that ID, or nil.
	Find(id string) *Socket
	// Size is the number of sockets, and that of the rooms they have joined.
	Size() (sockets, rooms int)
	// RoomSizes yields the rooms that have members, in no order. A room that
	// comes or goes meanwhile may be left out, or come twice.
	RoomSizes() iter.Seq2[string, int]
}

// RoomSize is a room and how many sockets have joined it.
type RoomSize struct {
	Name    string
	Sockets int
}

// SocketState is what an operator may know of a socket at one moment.
type SocketState struct {
	ID        string
	Namespace string
	// RemoteAddr is the client's IP address, see [engineio.Handshake].
	RemoteAddr string
	// ConnectedSince is when the client's connection began.
	ConnectedSince time.Time
	// Identity is the ID of the client's identity, or empty.
	Identity string
	// Rooms are the rooms it has joined, in order.
	Rooms []string
	engineio.SessionState
}

// Find returns the socket of that ID, or nil.
func (n *Namespace) Find(id string) *Socket { return n.adapter.Find(id) }

// Size is the number of sockets, and that of the rooms they have joined.
func (n *Namespace) Size() (sockets, rooms int) { return n.adapter.Size() }

// RoomPage lists rooms in the order of their names: the first limit, at least one, of those
// after the name given. more is true when there are others behind them.
func (n *Namespace) RoomPage(after string, limit int) (rooms []RoomSize, more bool) {
	p := page[RoomSize]{after: after, limit: max(limit, 1), key: func(r RoomSize) string { return r.Name }}
	for name, sockets := range n.adapter.RoomSizes() {
		p.add(RoomSize{Name: name, Sockets: sockets})
	}
	return p.items, p.more
}

// Find returns the socket of that ID in any namespace, or nil.
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
		for _, s := range n.adapter.Sockets(target) {
			if (q.Identity == "" || s.identityID() == q.Identity) && (!q.Slow || s.client.session.State().Slow) {
				p.add(s)
			}
		}
	}
	return p.items, p.more
}

// DisconnectIdentity disconnects the sockets of a client in namespaces, see
// [Socket.Disconnect], and returns how many they were. Whoever has its token
// may connect again.
func DisconnectIdentity(namespaces []*Namespace, id string, closeConnection bool) (sockets int) {
	for _, n := range namespaces {
		for _, s := range n.Everyone().Sockets() {
			if id != "" && s.identityID() == id {
				s.Disconnect(closeConnection)
				sockets++
			}
		}
	}
	return sockets
}

// State returns the state of the socket.
func (s *Socket) State() SocketState {
	handshake := s.Handshake()
	rooms := slices.Clone(s.Rooms())
	slices.Sort(rooms)
	return SocketState{
		ID:             s.id,
		Namespace:      s.namespace.name,
		RemoteAddr:     handshake.RemoteAddr,
		ConnectedSince: handshake.Time,
		Identity:       s.identityID(),
		Rooms:          rooms,
		SessionState:   s.client.session.State(),
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

func (a *memoryAdapter) Find(id string) *Socket {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.sockets[id]
}

func (a *memoryAdapter) Size() (sockets, rooms int) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.everyone.members), len(a.rooms)
}

// roomBatch is how many rooms are looked at before others get the lock.
const roomBatch = 256

// RoomSizes gives the lock away after each batch, so that a long walk holds
// nobody up. A map may change between the steps of a walk over it.
func (a *memoryAdapter) RoomSizes() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		batch := make([]RoomSize, 0, roomBatch)
		yieldBatch := func() bool {
			for _, r := range batch {
				if !yield(r.Name, r.Sockets) {
					return false
				}
			}
			batch = batch[:0]
			return true
		}
		a.mu.RLock()
		for name, r := range a.rooms {
			if batch = append(batch, RoomSize{Name: name, Sockets: len(r.members)}); len(batch) < roomBatch {
				continue
			}
			a.mu.RUnlock()
			if !yieldBatch() {
				return
			}
			a.mu.RLock()
		}
		a.mu.RUnlock()
		yieldBatch()
	}
}
