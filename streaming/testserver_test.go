package streaming

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// bothTransports are what a test runs on that depends on the transport.
var bothTransports = []engineio.Transport{engineio.WebSocket, engineio.Polling}

// testServer is a server on a port of its own.
type testServer struct {
	*Server
	t    testing.TB
	url  string
	logs *logRecorder
}

// newTestServer starts a server whose main namespace has these handlers. It
// ends with the test, after the test's clients.
func newTestServer(t testing.TB, options Options, sets ...EventSet) *testServer {
	t.Helper()
	logs := new(logRecorder)
	s := &testServer{Server: New(options, slog.New(logs)), t: t, logs: logs}
	if err := s.Of("/").Use(sets...); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s.Handler())
	s.url = front.URL + "/socket.io/"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx, engineio.Farewell{}); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		front.Close()
		eventually(t, "nothing to be kept for clients", func() bool {
			m := s.Metrics().Engine
			return m.KeptBytes == 0 && m.BufferedBytes == 0
		})
	})
	return s
}

// handlers makes an event set of a function.
type handlers func(n *Namespace, h *Handlers)

func (register handlers) Register(n *Namespace, h *Handlers) error {
	register(n, h)
	return nil
}

// on makes an event set of one event.
func on(event string, handler func(*Event)) EventSet {
	return handlers(func(_ *Namespace, h *Handlers) {
		if err := h.On(event, handler); err != nil {
			panic(err)
		}
	})
}

// refusingUnknown makes an event set that refuses what nobody handles.
func refusingUnknown() EventSet {
	return handlers(func(_ *Namespace, h *Handlers) { h.RefuseUnknown() })
}

// relayTo makes an event set that passes one event on to everyone else.
func relayTo(event string) EventSet {
	return on(event, func(e *Event) { _ = e.Socket.Broadcast().EmitArgs(e.Name, e.Args) })
}

// onConnect hands over each socket that connects.
func onConnect(sockets chan<- *Socket) EventSet {
	return handlers(func(_ *Namespace, h *Handlers) {
		h.OnConnect(func(s *Socket) { sockets <- s })
	})
}

// mustArgs encodes arguments.
func mustArgs(values ...any) packet.Args {
	args, err := packet.NewArgs(values...)
	if err != nil {
		panic(err)
	}
	return args
}

// listOf returns arguments as they are written, without the brackets around them.
func listOf(args packet.Args) string {
	array := args.AppendJSON(nil)
	return string(array[1 : len(array)-1])
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
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

// receive takes from a channel, or fails when nothing comes.
func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case value := <-from:
		return value
	case <-deadline.C:
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

// empty waits until nobody is left: no socket in the namespaces and no
// connection.
func (s *testServer) empty() {
	s.t.Helper()
	eventually(s.t, "all sockets to be gone", func() bool {
		for _, n := range s.Namespaces() {
			if len(n.Everyone().Sockets()) != 0 {
				return false
			}
		}
		return s.Connections() == 0
	})
}

// logRecord is a line of the log.
type logRecord struct {
	level   slog.Level
	message string
	attrs   map[string]string
}

// logRecorder keeps what is logged.
type logRecorder struct {
	mu      sync.Mutex
	records []logRecord
}

func (l *logRecorder) Enabled(context.Context, slog.Level) bool { return true }
func (l *logRecorder) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logRecorder) WithGroup(string) slog.Handler            { return l }

func (l *logRecorder) Handle(_ context.Context, r slog.Record) error {
	record := logRecord{level: r.Level, message: r.Message, attrs: make(map[string]string)}
	r.Attrs(func(a slog.Attr) bool {
		record.attrs[a.Key] = a.Value.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, record)
	return nil
}

// all returns the lines with this message.
func (l *logRecorder) all(message string) []logRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.records), func(r logRecord) bool { return r.message != message })
}

// panics returns what was logged of panics, each of which must come with the
// stack of the handler.
func (l *logRecorder) panics(t testing.TB) []logRecord {
	t.Helper()
	records := l.all("panic in an event handler")
	for _, r := range records {
		if r.level != slog.LevelError || !strings.Contains(r.attrs["stack"], "_test.go") {
			t.Errorf("a panic was logged without its stack: %+v", r)
		}
	}
	return records
}
