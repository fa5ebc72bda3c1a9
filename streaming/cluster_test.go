package streaming

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// cluster brings servers of this process together, each as if it were a process
// of its own. It does what an adapter of another package can do.
type cluster struct {
	mu      sync.Mutex
	members []*clusterAdapter
}

// clusterAdapter is one namespace of one server.
type clusterAdapter struct {
	cluster *cluster
	server  int
	local   Local
	closed  atomic.Int32
	// flags are those of the broadcasts that came from other servers.
	flags chan packet.Flags
}

// adapter makes the adapters of one server.
func (c *cluster) adapter(server int) func(Local) (Adapter, error) {
	return func(local Local) (Adapter, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		a := &clusterAdapter{cluster: c, server: server, local: local, flags: make(chan packet.Flags, 1000)}
		c.members = append(c.members, a)
		return a, nil
	}
}

// of returns the adapters of one server's namespace, those that are closed too.
func (c *cluster) of(server int, namespace string) []*clusterAdapter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.members), func(a *clusterAdapter) bool {
		return a.server != server || a.local.Namespace() != namespace
	})
}

// others are the same namespace of the other servers.
func (a *clusterAdapter) others() []*clusterAdapter {
	a.cluster.mu.Lock()
	defer a.cluster.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.cluster.members), func(b *clusterAdapter) bool {
		return b.server == a.server || b.local.Namespace() != a.local.Namespace() || b.closed.Load() > 0
	})
}

// carried is what others get of arguments: their own, made of what can be read
// of these.
func carried(args packet.Args) packet.Args {
	var b packet.ArgsBuilder
	for _, attachment := range args.Attachments() {
		b.Binary(slices.Clone(attachment))
	}
	for value := range args.All() {
		b.AddJSON(slices.Clone(value))
	}
	built, _ := b.Args()
	return built
}

// copied is what others get of a packet.
func copied(p *packet.Packet) *packet.Packet {
	return &packet.Packet{Type: p.Type, Namespace: p.Namespace, Event: p.Event, Args: carried(p.Args), Flags: p.Flags}
}

// abroad is what others get of a target.
func abroad(t Target) Target {
	return Target{Rooms: slices.Clone(t.Rooms), Except: slices.Clone(t.Except), MayJoin: t.MayJoin}
}

func (a *clusterAdapter) Broadcast(p *packet.Packet, t Target) {
	for _, other := range a.others() {
		other.flags <- p.Flags
		other.local.Broadcast(copied(p), abroad(t))
	}
}

func (a *clusterAdapter) Call(ctx context.Context, p *packet.Packet, t Target, reply func(Reply)) (expected int, err error) {
	for _, other := range a.others() {
		expected += other.local.Call(ctx, copied(p), abroad(t), func(r Reply) {
			reply(Reply{SocketID: r.SocketID, Args: carried(r.Args), Err: r.Err})
		})
	}
	return expected, nil
}

func (a *clusterAdapter) Join(t Target, rooms []string) {
	for _, other := range a.others() {
		other.local.Join(abroad(t), rooms)
	}
}

func (a *clusterAdapter) Leave(t Target, rooms []string) {
	for _, other := range a.others() {
		other.local.Leave(abroad(t), rooms)
	}
}

func (a *clusterAdapter) Disconnect(t Target, closeConnection bool) {
	for _, other := range a.others() {
		other.local.Disconnect(abroad(t), closeConnection)
	}
}

func (a *clusterAdapter) Sockets(_ context.Context, t Target) (states []SocketState, err error) {
	for _, other := range a.others() {
		states = append(states, other.local.Sockets(abroad(t))...)
	}
	return states, nil
}

func (a *clusterAdapter) Tell(event string, args packet.Args) {
	for _, other := range a.others() {
		other.local.Tell(event, carried(args))
	}
}

func (a *clusterAdapter) Close() error {
	a.closed.Add(1)
	return nil
}

// clusterTest is a cluster of three servers, each with two clients in its main
// namespace: one on either transport, by names such as "0-websocket".
type clusterTest struct {
	cluster *cluster
	servers []*testServer
	names   []string
	clients map[string]*testClient
	sockets map[string]*Socket
}

func newClusterTest(t *testing.T, sets ...EventSet) *clusterTest {
	t.Helper()
	c := &clusterTest{cluster: new(cluster), clients: make(map[string]*testClient), sockets: make(map[string]*Socket)}
	for i := range 3 {
		s := newTestServer(t, Options{Adapter: c.cluster.adapter(i)}, sets...)
		c.servers = append(c.servers, s)
		for _, transport := range bothTransports {
			name := fmt.Sprintf("%d-%s", i, transport)
			client, id := s.connected(transport)
			c.names = append(c.names, name)
			c.clients[name], c.sockets[name] = client, s.Find(id)
		}
	}
	return c
}

// expect checks that exactly these clients have received messages since the
// last call.
func (c *clusterTest) expect(t *testing.T, what string, names []string, messages ...any) {
	t.Helper()
	for i, s := range c.servers {
		if err := s.Of("/").EmitArgs(fmt.Sprintf("end %d", i), packet.Args{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range c.names {
		if slices.Contains(names, name) {
			c.clients[name].expect(messages...)
		}
		for i := range c.servers {
			if m := c.clients[name].next(); m.text != fmt.Sprintf(`2["end %d"]`, i) {
				t.Fatalf("%s: %s got %v", what, name, m)
			}
		}
	}
}

// errAdapter is what brokenAdapter fails with.
var errAdapter = errors.New("no way to the others")

// brokenAdapter fails at everything, or panics if it is told to.
type brokenAdapter struct {
	panics bool
	closed atomic.Int32
}

func (b *brokenAdapter) fail() error {
	if b.panics {
		panic("broken")
	}
	return errAdapter
}

func (b *brokenAdapter) Broadcast(*packet.Packet, Target) { _ = b.fail() }
func (b *brokenAdapter) Join(Target, []string)            { _ = b.fail() }
func (b *brokenAdapter) Leave(Target, []string)           { _ = b.fail() }
func (b *brokenAdapter) Disconnect(Target, bool)          { _ = b.fail() }
func (b *brokenAdapter) Tell(string, packet.Args)         { _ = b.fail() }

func (b *brokenAdapter) Call(context.Context, *packet.Packet, Target, func(Reply)) (int, error) {
	return 0, b.fail()
}

func (b *brokenAdapter) Sockets(context.Context, Target) ([]SocketState, error) { return nil, b.fail() }

func (b *brokenAdapter) Close() error {
	b.closed.Add(1)
	return b.fail()
}

// newBrokenTest is a server with a broken adapter and two clients.
func newBrokenTest(t *testing.T, b *brokenAdapter, sets ...EventSet) (s *testServer, one, two *testClient, oneID string) {
	t.Helper()
	s = newTestServer(t, Options{Adapter: func(Local) (Adapter, error) { return b, nil }}, sets...)
	one, oneID = s.connected(engineio.WebSocket)
	two, _ = s.connected(engineio.Polling)
	return s, one, two, oneID
}
