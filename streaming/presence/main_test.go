package presence

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/clustertest"
)

// patience is how long servers wait for answers here: longer than one is known that is killed.
const patience = 20 * time.Second

// server is a server of a network.
type server struct {
	*streaming.Server
	*Peers
	name    string
	network *clustertest.Network
}

func join(t testing.TB, network *clustertest.Network, name string) *server {
	t.Helper()
	s := &server{name: name, network: network}
	s.Server = streaming.New(streaming.Options{Adapter: network.Adapter(name)}, slog.New(slog.DiscardHandler))
	ns, err := s.Use("/", set{})
	if err != nil {
		t.Fatal(err)
	}
	s.Peers = Of(ns)
	return s
}

// kill has a server end without a word.
func (s *server) kill() {
	s.network.Cut(s.name, true)
	s.Close()
}

func (s *server) listed() string {
	text := ""
	for _, node := range s.Nodes() {
		text += node.Name + " "
	}
	return text
}

// set has a namespace take part.
type set struct{}

func (set) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	if first, second := Register(n, h), Register(n, h); first != second {
		return errors.New("a second event set gets others")
	}
	return nil
}
