// Package eventstest is what the tests of the event sets have in common: a
// server with the sets of a test, and clients that say and expect packets word
// for word.
package eventstest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// Patience is how long a test waits for what must happen.
const Patience = 20 * time.Second

// Server is a server whose main namespace has the event sets of a test.
type Server struct {
	*streaming.Server
	// T is the test that the server is of.
	T testing.TB
	// URL is where clients find it.
	URL string
	// Aside is how the packets begin that come when they like. A client keeps
	// them apart, see [Client.Asides]. Nothing is kept apart unless it is set.
	Aside string

	errors atomic.Int32
	// gate holds the answers of requests back until it is closed, see Hold. It is nil when
	// none are held.
	gate atomic.Pointer[chan struct{}]
	// gone has the sockets of which the event sets were told that they are gone.
	gone sync.Map
}

// Register makes the server an event set, the last one of its main namespace, that takes note of the
// sockets that are gone.
func (s *Server) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	h.OnDisconnect(func(socket *streaming.Socket, _ streaming.Reason) { s.gone.Store(socket, true) })
	return nil
}

// NewServer starts a server. It ends with the test, after its clients, and
// fails the test if something has panicked.
func NewServer(t testing.TB, sets ...streaming.EventSet) *Server {
	t.Helper()
	s := &Server{T: t}
	s.Server = streaming.New(streaming.Options{}, slog.New((*errorCounter)(s)))
	if err := s.UseSets(sets...); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(addressed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.ServeHTTP(w, r, engineio.Inbound{Hold: s.pass})
	})))
	s.URL = front.URL + "/socket.io/"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := s.Shutdown(ctx, engineio.Farewell{}); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		front.Close()
		if s.Panicked() {
			t.Errorf("%d panics", s.errors.Load())
		}
	})
	return s
}

// UseSets gives the main namespace these event sets in place of those before, as a reload does.
func (s *Server) UseSets(sets ...streaming.EventSet) error {
	return s.Of("/").Use(append(slices.Clone(sets), s)...)
}

// addressHeader says in a request of a test from which IP address it is to have come.
const addressHeader = "Test-Address"

// addressed hands requests on as those of the addresses that they say.
func addressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if address := r.Header.Get(addressHeader); address != "" {
			r.RemoteAddr = net.JoinHostPort(address, "1")
		}
		next.ServeHTTP(w, r)
	})
}

// Hold has the answers of requests held back, as a reload does, until release is called.
func (s *Server) Hold() (release func()) {
	gate := make(chan struct{})
	s.gate.Store(&gate)
	return sync.OnceFunc(func() {
		s.gate.Store(nil)
		close(gate)
	})
}

// pass waits while answers are held.
func (s *Server) pass(ctx context.Context) {
	if gate := s.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-ctx.Done():
		}
	}
}

// Panicked reports whether a handler has panicked: nothing else is logged as an
// error.
func (s *Server) Panicked() bool { return s.errors.Load() > 0 }

// Figure returns what is told of the main namespace.
func (s *Server) Figure(figure streaming.Figure) float64 {
	s.T.Helper()
	for _, told := range s.Metrics().Namespaces[0].Figures {
		if told.Figure == figure {
			return told.Value
		}
	}
	s.T.Errorf("%s is not told", figure.Name)
	return 0
}

// ExpectKnownFigures holds that the main namespace tells all figures that are
// registered, but for those of a cluster, in which it is not, and no others.
func (s *Server) ExpectKnownFigures() {
	s.T.Helper()
	known := make(map[streaming.Figure]bool)
	for _, figure := range streaming.Figures() {
		if !strings.HasPrefix(figure.Name, "cluster_") {
			known[figure] = true
		}
	}
	told := s.Metrics().Namespaces[0].Figures
	for _, figure := range told {
		if !known[figure.Figure] {
			s.T.Errorf("%s is told and not known", figure.Name)
		}
	}
	if len(told) != len(known) {
		s.T.Errorf("%d figures are told of %d", len(told), len(known))
	}
}

// errorCounter is a server as the slog.Handler that counts its errors.
type errorCounter Server

func (s *errorCounter) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		s.errors.Add(1)
	}
	return nil
}

func (s *errorCounter) Enabled(context.Context, slog.Level) bool { return true }
func (s *errorCounter) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *errorCounter) WithGroup(string) slog.Handler            { return s }

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
