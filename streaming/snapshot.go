package streaming

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// Snapshot is what is kept for the clients of a server at one moment, so that another process can go on
// with it: see [Server.Snapshot] and [Server.Restore]. It has no credentials of clients but the secrets
// by which they are recovered, and what was sent to them.
type Snapshot struct {
	// Taken is when it was taken.
	Taken time.Time
	// Clean is true if nothing has changed after that, since the server has ended.
	Clean      bool
	Namespaces []NamespaceSnapshot
}

// Sockets is how many sockets it has.
func (s *Snapshot) Sockets() (sockets int) {
	for i := range s.Namespaces {
		sockets += len(s.Namespaces[i].Sockets)
	}
	return sockets
}

// NamespaceSnapshot is what is kept of a namespace.
type NamespaceSnapshot struct {
	Name string
	Log  *recovery.Image
	// Sockets are those of the sessions of the log, in the same order.
	Sockets []SocketSnapshot
	// AckID is the ID of the next question.
	AckID uint64
}

// SocketSnapshot is what is kept of a socket besides its session.
type SocketSnapshot struct {
	// Address is where its client is, without a port.
	Address string
	// Until is when its wait is over, or zero if its client was connected.
	Until time.Time
	// Owes are the IDs of the questions that it owes an answer to.
	Owes []uint64
	// Identity is who its client is, or nil.
	Identity *IdentitySnapshot
}

// IdentitySnapshot is what is kept of an [Identity]: what it takes to tell whether a client is the same,
// and what it was allowed. Claims are not kept.
type IdentitySnapshot struct {
	ID, Method, Key       string
	Rooms, Start, Publish RightsSnapshot
	Expires               time.Time
	Leeway                time.Duration
	OfConnection          bool
}

// RightsSnapshot is what is kept of [Rights].
type RightsSnapshot struct {
	Limited         bool
	Exact, Prefixes []string
}

// OnRestore says that sockets of the event set that is being registered may be restored when the process
// has ended and another one goes on: of what the set keeps of a socket nothing is lost then, but what
// handler makes again of the rooms that the socket is in. handler may be nil. It is called for each
// socket that is restored, which waits for its client. The sockets of a namespace are restored if all of
// its event sets say so. The OnConnect handlers are not called for it; those of OnRecover are when its
// client is back.
func (h *Handlers) OnRestore(handler func(*Socket)) {
	h.set().restores = true
	if handler != nil {
		h.restore = append(h.restore, handler)
	}
}

// restores reports whether sockets of the namespace can be restored. Where other processes have the
// namespace too they cannot be: those go on sending while this one is down.
func (n *Namespace) restores() bool {
	if n.removed.Load() || n.remote.Load() != nil {
		return false
	}
	for _, set := range n.handlers.Load().sets {
		if !set.restores {
			return false
		}
	}
	return true
}

// SnapshotVersion is another one after each change of what a snapshot has. It is zero where nothing is
// to outlive the process.
func (s *Server) SnapshotVersion() uint64 {
	if !s.recovery.Outlives() {
		return 0
	}
	return 1 + s.recovery.Version()
}

// Snapshot returns what is kept for the clients that are connected, or were until a moment ago, and can
// be restored. It holds no lock for long. Messages are not copied.
func (s *Server) Snapshot() *Snapshot {
	snapshot := &Snapshot{Taken: time.Now()}
	for _, n := range s.Namespaces() {
		if log := n.rooms.log.Load(); log != nil && n.restores() {
			snapshot.Namespaces = append(snapshot.Namespaces, n.snapshot(log))
		}
	}
	return snapshot
}

func (n *Namespace) snapshot(log *recovery.Log) NamespaceSnapshot {
	var kept []*recovery.Session
	var sockets []SocketSnapshot
	for _, s := range n.rooms.sockets(Target{}) {
		if s.kept == nil || s.kept.Log() != log {
			continue
		}
		if taken, ok := s.snapshot(); ok {
			kept, sockets = append(kept, s.kept), append(sockets, taken)
		}
	}
	return NamespaceSnapshot{Name: n.name, Log: log.Image(kept), Sockets: sockets, AckID: n.ackID.Load()}
}

// snapshot is false for a socket that is not connected.
func (s *Socket) snapshot() (taken SocketSnapshot, ok bool) {
	taken.Address = s.Handshake().RemoteAddr
	if identity := s.Identity(); identity != nil {
		taken.Identity = &IdentitySnapshot{
			ID: identity.ID, Method: identity.Method, Key: identity.Key, Rooms: identity.Rooms.snapshot(),
			Start: identity.Start.snapshot(), Publish: identity.Publish.snapshot(), Expires: identity.Expires, Leeway: identity.Leeway,
			OfConnection: identity.OfConnection,
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.acks {
		taken.Owes = append(taken.Owes, id)
	}
	if s.away != nil && s.away.wait != nil {
		taken.Until = s.away.wait.Until()
	}
	return taken, s.state == socketConnected
}

func (r Rights) snapshot() RightsSnapshot { return RightsSnapshot{r.limited, r.exact, r.prefixes} }

func (r RightsSnapshot) rights() Rights { return Rights{r.Limited, r.Exact, r.Prefixes} }

func (i *IdentitySnapshot) identity() *Identity {
	if i == nil {
		return nil
	}
	return &Identity{
		ID: i.ID, Method: i.Method, Key: i.Key, Rooms: i.Rooms.rights(), Start: i.Start.rights(), Publish: i.Publish.rights(),
		Expires: i.Expires, Leeway: i.Leeway, OfConnection: i.OfConnection,
	}
}

// SnapshotResult is what has become of a snapshot.
type SnapshotResult uint8

// The results.
const (
	// SnapshotStored is one that was stored, SnapshotFailed one that could not be, and SnapshotRefused one
	// that was found and could not be used.
	SnapshotStored SnapshotResult = iota
	SnapshotFailed
	SnapshotRefused
)

// NoteSnapshot counts a snapshot, which has so many bytes.
func (s *Server) NoteSnapshot(result SnapshotResult, bytes int) {
	s.recovery.Note(func(c *recovery.Snapshots) {
		switch result {
		case SnapshotStored:
			c.Stored++
			c.Bytes = int64(bytes)
		case SnapshotFailed:
			c.Failed++
		case SnapshotRefused:
			c.Refused++
		}
	})
}

// Restored tells what was restored.
type Restored struct {
	// Sockets is how many sockets wait for their clients, Packets how many packets are kept for them.
	Sockets, Packets int
	// NoRoom is how many sockets there was no room for: see [recovery.Options.MaxBytes].
	NoRoom int
}

// ackIDsAhead is how many questions a process may have asked after its last snapshot.
const ackIDsAhead = 1 << 20

// Restore goes on with what another process has kept: the sockets wait for their clients. It must be
// called before the first client comes, and only for a server that keeps something. A socket whose time
// is over does not come back. The error says of which namespaces nothing was restored.
func (s *Server) Restore(snapshot *Snapshot) (restored Restored, err error) {
	for i := range snapshot.Namespaces {
		taken := &snapshot.Namespaces[i]
		n := s.namespace(taken.Name)
		if n == nil || n.rooms.log.Load() == nil || !n.restores() {
			continue
		}
		if failure := n.restoreFrom(taken, snapshot, &restored); failure != nil {
			err = fmt.Errorf("namespace %q: %w", n.name, failure)
		}
	}
	restored.Packets = int(s.recovery.Metrics().Packets)
	s.recovery.Note(func(c *recovery.Snapshots) {
		if snapshot.Clean {
			c.Clean += int64(restored.Sockets)
		} else {
			c.Crashed += int64(restored.Sockets)
		}
	})
	return restored, err
}

func (n *Namespace) restoreFrom(taken *NamespaceSnapshot, snapshot *Snapshot, restored *Restored) error {
	if taken.Log == nil || len(taken.Log.Sessions) != len(taken.Sockets) {
		return fmt.Errorf("%d sockets, and not as many sessions", len(taken.Sockets))
	}
	shakes := make([]*engineio.Handshake, len(taken.Sockets))
	who := func(i int) (id any, address netip.Prefix) {
		shakes[i] = &engineio.Handshake{RemoteAddr: taken.Sockets[i].Address, Time: snapshot.Taken}
		return keptAs(taken.Sockets[i].Identity.identity()), shakes[i].Address()
	}
	sessions, err := n.rooms.log.Load().Restore(taken.Log, snapshot.Clean, who)
	if err != nil {
		return err
	}
	n.ackID.Store(taken.AckID + ackIDsAhead)
	window := n.server.recovery.Window()
	for i, kept := range sessions {
		until := taken.Sockets[i].Until
		if until.IsZero() {
			// Nobody knows for how long the client was there after that.
			until = snapshot.Taken.Add(window)
		}
		id := taken.Log.Sessions[i].ID
		if !time.Now().Before(until) || len(id) != socketIDLength || n.rooms.find(id) != nil {
			continue
		}
		if n.restore(&Socket{id: id, namespace: n, kept: kept}, &taken.Sockets[i], shakes[i], until) {
			restored.Sockets++
		} else {
			restored.NoRoom++
		}
	}
	return nil
}

// restore has a socket be one that waits for its client until some time. It reports false if there is no
// room for it.
func (n *Namespace) restore(s *Socket, taken *SocketSnapshot, h *engineio.Handshake, until time.Time) bool {
	s.conn.Store(&client{server: n.server, session: n.server.engine.Ended(h), closed: true, over: true})
	if !n.came() {
		return false
	}
	s.greeted.Store(isGreeted)
	a := &absence{reason: engineio.ReasonShutdown}
	s.mu.Lock()
	s.state, s.away = socketConnected, a
	for _, id := range taken.Owes {
		if s.acks == nil {
			s.acks = make(map[uint64]owedAck)
		}
		// Who has asked is gone. The client is asked again, as its handler may have to run.
		s.acks[id] = owedAck{func(packet.Args, error) {}, time.Now()}
		s.client().session.Keep(ackBytes)
	}
	s.mu.Unlock()
	n.counts.sockets.Add(1)
	n.rooms.restore(s)
	if identity := taken.Identity.identity(); identity != nil {
		n.server.auth.give(s, identity, nil)
	}
	wait := n.server.recovery.WaitUntil(until, s.kept, 0, func() { s.endAbsence(a) })
	if wait == nil {
		s.endAbsence(a)
		return false
	}
	s.mu.Lock()
	if s.away == a {
		a.wait = wait
	} else {
		wait.Stop()
	}
	s.mu.Unlock()
	for _, handler := range n.handlers.Load().restore {
		s.Do(func() { handler(s) })
	}
	return s.Connected()
}

// restore puts a socket into the rooms that its session knows of.
func (r *rooms) restore(s *Socket) {
	r.add(s)
	var names []string
	for _, room := range s.kept.In() {
		at := r.shard(room.Name())
		at.mu.Lock()
		if at.kept == nil {
			at.kept = make(map[string]*recovery.Room)
		}
		at.kept[room.Name()] = room
		at.mu.Unlock()
		names = append(names, room.Name())
	}
	r.join(s, names...)
	s.kept.Restored()
}

// keepLast waits until the handlers of sockets that can be restored have nothing to do, or until ctx ends, has
// nothing more sent to these sockets, and returns what is kept for them.
func (s *Server) keepLast(ctx context.Context) *Snapshot {
	const interval = 5 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for s.isBusy() {
		select {
		case <-ticker.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	for _, n := range s.Namespaces() {
		if log := n.rooms.log.Load(); log != nil && n.restores() {
			log.Seal()
		}
	}
	snapshot := s.Snapshot()
	snapshot.Clean = true
	return snapshot
}

// isBusy reports whether a handler of a socket that can be restored is running.
func (s *Server) isBusy() bool {
	for _, n := range s.Namespaces() {
		if !n.restores() {
			continue
		}
		for _, socket := range n.rooms.sockets(Target{}) {
			socket.mu.Lock()
			running := socket.inbox.running
			socket.mu.Unlock()
			if running {
				return true
			}
		}
	}
	return false
}
