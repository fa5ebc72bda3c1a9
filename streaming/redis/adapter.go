package redis

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// The figures of a namespace.
var (
	figurePublished = streaming.Figure{Name: "cluster_published_total", Help: "Messages that were published for other servers of the cluster.", Counter: true}
	figureReceived  = streaming.Figure{Name: "cluster_received_total", Help: "Messages of other servers of the cluster that were taken.", Counter: true}
	figureLost      = streaming.Figure{Name: "cluster_lost_total", Help: "Messages that could not be published for other servers of the cluster.", Counter: true}
	figureRefused   = streaming.Figure{Name: "cluster_refused_total", Help: "Messages of other servers of the cluster that were not understood.", Counter: true}
)

func init() {
	streaming.RegisterFigures(figurePublished, figureReceived, figureLost, figureRefused)
}

// adapter is one namespace of a node.
type adapter struct {
	node  *Node
	local streaming.Local
	// name is that of the namespace as the names of channels have it.
	name string

	published, received, lost, refused *measure.Counter

	// ctx ends with the adapter.
	ctx context.Context
	end context.CancelFunc

	mu sync.Mutex
	// pending are the requests that are not answered yet, by their IDs.
	pending map[string]*pending
}

func newAdapter(n *Node, local streaming.Local) *adapter {
	a := &adapter{
		node: n, local: local, name: "#" + local.Namespace() + "#",
		published: local.Counter(figurePublished), received: local.Counter(figureReceived),
		lost: local.Counter(figureLost), refused: local.Counter(figureRefused),
		pending: make(map[string]*pending),
	}
	a.ctx, a.end = context.WithCancel(context.Background())
	return a
}

// options are those in force.
func (a *adapter) options() *Options {
	if l := a.node.live.Load(); l != nil {
		return &l.options
	}
	return &defaults
}

// unsent counts and logs a message that cannot be published.
func (a *adapter) unsent(what string, err error) {
	a.lost.Add(0, 1)
	a.node.line("unsent", slog.LevelError, "a message for other servers cannot be published",
		"namespace", a.local.Namespace(), "message", what, "max_message", a.options().MaxMessage, "error", err.Error())
}

// publish queues a message for other servers.
func (a *adapter) publish(m message) error {
	m.published, m.lost = a.published, a.lost
	if !a.node.publish(m) {
		return errLost
	}
	return nil
}

// errLost is a message that could not be queued.
var errLost = errors.New("no way to Redis, or too much waits for it")

// Broadcast implements streaming.Adapter.
func (a *adapter) Broadcast(p *packet.Packet, t streaming.Target) {
	o := a.options()
	m, err := o.protocol.broadcast(a, p, t, o)
	if err != nil {
		a.unsent("the event "+p.Event, err)
		return
	}
	_ = a.publish(m)
}

// request publishes a request.
func (a *adapter) request(what string, r *request) error {
	o := a.options()
	m, err := o.protocol.request(a, r, o)
	if err != nil {
		a.unsent(what, err)
		return err
	}
	return a.publish(m)
}

// respond publishes the answer to a request.
func (a *adapter) respond(to *envelope, what string, r *response) {
	o := a.options()
	m, err := o.protocol.response(a, to, r, o)
	if err != nil {
		a.unsent(what, err)
		return
	}
	_ = a.publish(m)
}

// compact is JSON as JavaScript writes it.
func compact(v any) ([]byte, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

// Join implements streaming.Adapter.
func (a *adapter) Join(t streaming.Target, rooms []string) {
	if len(rooms) > 0 {
		_ = a.request("joining rooms", &request{kind: requestJoin, target: t, rooms: rooms})
	}
}

// Leave implements streaming.Adapter.
func (a *adapter) Leave(t streaming.Target, rooms []string) {
	if len(rooms) > 0 {
		_ = a.request("leaving rooms", &request{kind: requestLeave, target: t, rooms: rooms})
	}
}

// Disconnect implements streaming.Adapter.
func (a *adapter) Disconnect(t streaming.Target, closeConnection bool) {
	_ = a.request("disconnecting", &request{kind: requestDisconnect, target: t, close: closeConnection})
}

// Tell implements streaming.Adapter.
func (a *adapter) Tell(event string, args packet.Args) {
	told := &packet.Packet{Type: packet.TypeEvent, Namespace: a.local.Namespace(), Event: event, Args: args}
	_ = a.request("telling "+event, &request{kind: requestServerSide, packet: told})
}

// RoomChanged implements streaming.RoomWatcher.
func (a *adapter) RoomChanged(room string) { a.node.roomChanged(a, room) }

// Health implements streaming.Healthy.
func (a *adapter) Health() error { return a.node.Health() }

// Node implements streaming.Clustered.
func (a *adapter) Node() string { return a.node.uid }

// RequestTimeout implements streaming.Clustered.
func (a *adapter) RequestTimeout() time.Duration { return a.options().RequestTimeout }

// Close implements streaming.Adapter.
func (a *adapter) Close() error {
	a.end()
	a.node.remove(a)
	return nil
}

// Interface guards.
var (
	_ streaming.Adapter     = (*adapter)(nil)
	_ streaming.Healthy     = (*adapter)(nil)
	_ streaming.RoomWatcher = (*adapter)(nil)
	_ streaming.Clustered   = (*adapter)(nil)
)
