package redis

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/internal/testport"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// TestMain fails when a goroutine is left over after all tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen, and testBeat how often its nodes make sure
// that they hear themselves.
const (
	patience = 30 * time.Second
	testBeat = time.Second
)

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// redisServer is a Redis on a port of its own.
type redisServer struct {
	t       testing.TB
	port    string
	options []string
	command *exec.Cmd
}

// startRedis starts a Redis that ends with the test.
func startRedis(t testing.TB, options ...string) *redisServer {
	t.Helper()
	r := &redisServer{t: t, port: testport.Reserve(t), options: options}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *redisServer) start() {
	r.t.Helper()
	args := append([]string{"--port", r.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", r.t.TempDir()}, r.options...)
	r.command = exec.Command("redis-server", args...)
	output, err := r.command.StdoutPipe()
	if err == nil {
		err = r.command.Start()
	}
	if err != nil {
		r.t.Fatalf("redis-server is needed: %v", err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			go func() {
				for lines.Scan() {
				}
			}()
			return
		}
	}
	r.t.Fatal("redis-server does not start")
}

func (r *redisServer) stop() {
	if r.command != nil {
		_ = r.command.Process.Kill()
		_ = r.command.Wait()
		r.command = nil
	}
}

// signal stops the process for a while, or lets it go on.
func (r *redisServer) signal(s syscall.Signal) { _ = r.command.Process.Signal(s) }

func (r *redisServer) url() string { return "redis://127.0.0.1:" + r.port }

// command sends a command, whose answer is one line.
func (r *redisServer) do(command string) string {
	r.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+r.port)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(command + "\r\n"))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func (r *redisServer) at(change ...func(*Options)) Options {
	o := Options{URLs: []string{r.url()}, Same: r.url(), RequestTimeout: 10 * time.Second, beat: testBeat}
	for _, c := range change {
		c(&o)
	}
	return o
}

// mode is one of the modes.
type mode string

// inEachMode runs a test in each of them.
func inEachMode(t *testing.T, test func(*testing.T, mode)) {
	t.Helper()
	for _, in := range []mode{ModePubSub, ModeSharded, ModeStreams} {
		t.Run(string(in), func(t *testing.T) { test(t, in) })
	}
}

func (in mode) at(r *redisServer, change ...func(*Options)) Options {
	o := r.at(change...)
	o.Mode = string(in)
	return o
}

// server is a Socket.IO server that is a node.
type server struct {
	*streaming.Server
	t    testing.TB
	node *Node
	url  string
	logs *lines
}

// newServer starts a server, and waits until it is connected unless waits is false.
func newServer(t testing.TB, o Options, sets ...streaming.EventSet) *server {
	t.Helper()
	s := newUnconnected(t, o, sets...)
	eventually(t, "the node to be connected", func() bool { return s.node.Health() == nil })
	return s
}

func newUnconnected(t testing.TB, o Options, sets ...streaming.EventSet) *server {
	t.Helper()
	s := &server{t: t, node: NewNode(), logs: new(lines)}
	s.Server = streaming.New(streaming.Options{Adapter: s.node.Adapter}, slog.New(s.logs))
	if err := s.node.Use(o); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Use("/", sets...); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s.Handler())
	s.url = front.URL + "/socket.io/"
	t.Cleanup(func() {
		s.node.Release()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx, engineio.Farewell{}); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		front.Close()
	})
	return s
}

// figure is what a counter of the main namespace has counted.
func (s *server) figure(f streaming.Figure) int64 { return s.Of("/").Counter(f).Load() }

// client is a client of the main namespace.
type client struct {
	t      testing.TB
	conn   *rawclient.Conn
	id     string
	socket *streaming.Socket
	got    chan string
}

// connect connects a client.
func (s *server) connect() *client {
	s.t.Helper()
	raw := rawclient.New(s.url)
	raw.Timeout = time.Hour // a read waits for as long as the test does
	conn, err := raw.Connect(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(); raw.Close() })
	if err := conn.WriteText("40"); err != nil {
		s.t.Fatal(err)
	}
	answer, err := conn.ReadText()
	var id string
	if _, scanErr := fmt.Sscanf(answer, `40{"sid":%q}`, &id); err != nil || scanErr != nil {
		s.t.Fatalf("connecting: %q, %v", answer, err)
	}
	c := &client{t: s.t, conn: conn, id: id, socket: s.Find(id), got: make(chan string, 10_000)}
	go c.read()
	return c
}

// read reads until the end, which it writes as "end".
func (c *client) read() {
	defer close(c.got)
	for {
		frame, err := c.conn.ReadFrame()
		switch {
		case err != nil || frame.Header.OpCode == ws.OpClose:
			return
		case frame.Header.OpCode == ws.OpBinary:
			c.got <- fmt.Sprintf("binary %x", frame.Payload)
		case string(frame.Payload) == "2":
			_ = c.conn.WriteText("3")
		default:
			c.got <- strings.TrimPrefix(string(frame.Payload), "4")
		}
	}
}

// next returns what comes next, or "end".
func (c *client) next() string {
	c.t.Helper()
	select {
	case text, ok := <-c.got:
		if !ok {
			return "end"
		}
		return text
	case <-time.After(patience):
		c.t.Fatal("nothing comes")
		return ""
	}
}

func (c *client) expect(want ...string) {
	c.t.Helper()
	for _, text := range want {
		if got := c.next(); got != text {
			c.t.Errorf("got %s, want %s", got, text)
		}
	}
}

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	list []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler { return &withAttrs{l, attrs} }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	text := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, text)
	return nil
}

// with lists the lines that have a text.
func (l *lines) with(text string) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.list {
		if strings.Contains(line, text) {
			list = append(list, line)
		}
	}
	return list
}

type withAttrs struct {
	*lines
	attrs []slog.Attr
}

func (w *withAttrs) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(w.attrs...)
	return w.lines.Handle(ctx, r)
}
