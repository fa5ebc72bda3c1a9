package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// server is a Caddy in this process, on a loopback port of its own. There is one at a time.
type server struct {
	t    *testing.T
	port string
	dir  string
}

// startServer runs Caddy with a site whose directives are given. More global options may be.
func startServer(t *testing.T, directives string, global ...string) *server {
	t.Helper()
	port := testport.Reserve(t)
	s := &server{t: t, port: port, dir: t.TempDir()}
	if err := s.load(directives, global...); err != nil {
		t.Fatalf("loading the config: %v", err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return s
}

// load makes Caddy run a config, in place of the one it runs.
func (s *server) load(directives string, global ...string) error {
	s.t.Helper()
	config, err := s.adapt(directives, global...)
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	s.settle()
	return nil
}

// adapt returns the JSON config of a site whose directives are given.
func (s *server) adapt(directives string, global ...string) ([]byte, error) {
	text := fmt.Sprintf("{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\tpersist_config off\n\tgrace_period 1s\n\tstorage file_system %s\n%s\n}\nhttp://127.0.0.1:%s {\n%s\n}\n",
		s.dir, strings.Join(global, "\n"), s.port, directives)
	config, _, err := caddyAdapter().Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// config is adapt for a test that changes the config.
func (s *server) config(directives string) map[string]any {
	s.t.Helper()
	text, err := s.adapt(directives)
	if err != nil {
		s.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		s.t.Fatal(err)
	}
	return config
}

// settle waits until the server of the config before has closed its socket: Caddy does that only
// after the new config has started, and a connection that still goes to the old socket is reset,
// whatever the handlers are.
func (s *server) settle() {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.sockets() > 1; {
		if time.Now().After(deadline) {
			s.t.Fatal("the socket of the config before was not closed")
		}
		<-time.After(time.Millisecond)
	}
}

// sockets counts the sockets that listen on the server's port, which all configs share while they
// change over. Where the system does not tell, it is Caddy's own count.
func (s *server) sockets() int {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return caddy.ListenerUsage("tcp", "127.0.0.1:"+s.port)
	}
	port, err := strconv.Atoi(s.port)
	if err != nil {
		s.t.Fatal(err)
	}
	const listening = "0A"
	count := 0
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 3 && fields[1] == fmt.Sprintf("0100007F:%04X", port) && fields[3] == listening {
			count++
		}
	}
	return count
}

// request sends a request and returns the answer with its body.
func (s *server) request(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	response, content, err := s.try(method, path, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response, content
}

// try sends a request on a connection of its own, which may fail.
func (s *server) try(method, path, body string, headers ...string) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:"+s.port+path, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response, string(content), err
}

// poller is a client on long-polling.
type poller struct {
	s    *server
	path string
	sid  string
	// headers go with each request.
	headers []string
	// packets came and were not asked for yet.
	packets []string
}

// poll connects a client to the namespace "/" by long-polling.
func (s *server) poll(path string) *poller {
	s.t.Helper()
	return s.pollFrom(path, "")
}

// pollFrom is poll with an Origin header, unless that is empty.
func (s *server) pollFrom(path, origin string) *poller {
	s.t.Helper()
	p := &poller{s: s, path: path + "?EIO=4&transport=polling"}
	if origin != "" {
		p.headers = []string{"Origin", origin}
	}
	response, body := s.request("GET", p.path, "", p.headers...)
	var handshake struct{ SID string }
	if response.StatusCode != http.StatusOK || json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &handshake) != nil {
		s.t.Fatalf("handshake: %d %s", response.StatusCode, body)
	}
	p.sid = handshake.SID
	p.send("40")
	p.wait("40{")
	return p
}

// send posts a packet.
func (p *poller) send(packet string) {
	p.s.t.Helper()
	if response, body := p.s.request("POST", p.path+"&sid="+p.sid, packet, p.headers...); response.StatusCode != 200 || body != "ok" {
		p.s.t.Fatalf("POST: %d %s", response.StatusCode, body)
	}
}

// begin sends a poll, and returns when it has come in at the site's test_arrivals. Its answer is
// sent to the channel.
func (p *poller) begin() <-chan string {
	p.s.t.Helper()
	select {
	case <-polled: // an earlier one
	default:
	}
	answer := make(chan string, 1)
	go func() {
		_, body, err := p.s.try("GET", p.path+"&sid="+p.sid, "", p.headers...)
		if err != nil {
			body = err.Error()
		}
		answer <- body
	}()
	select {
	case <-polled:
	case <-time.After(patience):
		p.s.t.Fatal("the poll did not come in")
	}
	return answer
}

// wait polls until a packet begins with prefix, and returns it. It answers pings.
func (p *poller) wait(prefix string) string {
	p.s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		for len(p.packets) > 0 {
			packet := p.packets[0]
			p.packets = p.packets[1:]
			if strings.HasPrefix(packet, prefix) {
				return packet
			}
			if packet == "2" {
				p.send("3")
			}
		}
		response, body := p.s.request("GET", p.path+"&sid="+p.sid, "", p.headers...)
		if response.StatusCode != http.StatusOK {
			p.s.t.Fatalf("GET: %d %s", response.StatusCode, body)
		}
		p.packets = strings.Split(body, "\x1e")
	}
	p.s.t.Fatalf("no packet %q came", prefix)
	return ""
}

// socket is a client on WebSocket.
type socket struct {
	s    *server
	conn net.Conn
	// rest begins with what came together with the answer to the upgrade.
	rest io.Reader
}

// dial opens a WebSocket; the error is that of a refused upgrade.
func (s *server) dial(path string, headers http.Header) (*socket, error) {
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP(headers)}
	return s.dialBy(dialer, "ws://127.0.0.1:"+s.port+path)
}

// dialBy opens a WebSocket at a URL, as a dialer does it.
func (s *server) dialBy(dialer ws.Dialer, url string) (*socket, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, buffered, _, err := dialer.Dial(ctx, url+"?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	var rest io.Reader = bufio.NewReader(conn)
	if buffered != nil {
		rest = buffered
	}
	return &socket{s: s, conn: conn, rest: rest}, nil
}

// connect connects a client to the namespace "/" by WebSocket.
func (s *server) connect(path string) *socket {
	s.t.Helper()
	c, err := s.dial(path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c.send("40")
	c.wait("40{")
	return c
}

// send sends a packet.
func (c *socket) send(packet string) {
	c.s.t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte(packet)); err != nil {
		c.s.t.Fatal(err)
	}
}

// wait reads until a packet begins with prefix, and returns it. It answers pings.
func (c *socket) wait(prefix string) string {
	c.s.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.s.t.Fatal(err)
	}
	for {
		frame, err := ws.ReadFrame(c.rest)
		if err != nil {
			c.s.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		switch packet := string(frame.Payload); {
		case frame.Header.OpCode != ws.OpText:
		case strings.HasPrefix(packet, prefix):
			return packet
		case packet == "2":
			c.send("3")
		}
	}
}

// waitClosed reads until the server closes the WebSocket.
func (c *socket) waitClosed() {
	c.s.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.s.t.Fatal(err)
	}
	for {
		frame, err := ws.ReadFrame(c.rest)
		if err != nil {
			c.s.t.Fatalf("waiting for the close frame: %v", err)
		}
		if frame.Header.OpCode == ws.OpClose {
			return
		}
	}
}
