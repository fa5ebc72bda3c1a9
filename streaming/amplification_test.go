package streaming

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// sizedReader counts what is read through it.
type sizedReader struct {
	io.Reader
	bytes int
}

func (c *sizedReader) Read(p []byte) (n int, err error) {
	n, err = c.Reader.Read(p)
	c.bytes += n
	return n, err
}

// request sends a request as it stands, and returns the size of its response, headers included, and the
// body.
func (s *testServer) request(request string) (size int, body string) {
	s.t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", target.Host)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	in := &sizedReader{Reader: conn}
	response, err := http.ReadResponse(bufio.NewReader(in), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return in.bytes, string(all)
}

// The shortest requests of long-polling are answered with a few hundred bytes.
func TestRequestsAreAnsweredShortly(t *testing.T) {
	s := newTestServer(t, Options{}, refusingUnknown())
	get := func(query string) string { return "GET /socket.io/?" + query + " HTTP/1.1\r\nHost: a\r\n\r\n" }
	const polling = "EIO=4&transport=polling"
	size, body := s.request(get(polling))
	if size > 450 {
		t.Errorf("a handshake is answered with %d bytes", size)
	}
	_, sid, ok := strings.Cut(body, `"sid":"`)
	sid, _, _ = strings.Cut(sid, `"`)
	if !ok {
		t.Fatalf("the handshake is answered %q", body)
	}
	session := polling + "&sid=" + sid
	for _, test := range []struct {
		name, request, body string
	}{
		{"a POST", "POST /socket.io/?" + session + " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n40", "ok"},
		{"a poll", get(session), `40{"sid":"`},
		{"an unknown session", get(polling + "&sid=x"), "Session ID unknown"},
		{"an unknown transport", get("EIO=4&transport=x"), "Transport unknown"},
	} {
		size, body := s.request(test.request)
		if !strings.Contains(body, test.body) {
			t.Errorf("%s is answered %q", test.name, body)
		}
		if size > 400 {
			t.Errorf("%s is answered with %d bytes", test.name, size)
		}
	}
}

// Pings come by the clock alone: what a client sends as answers to them brings about none.
func TestPongsBringAboutNothing(t *testing.T) {
	s := newTestServer(t, Options{}, refusingUnknown())
	c, _ := s.connected(engineio.WebSocket)
	sent := func() (bytes int64) {
		for _, transport := range s.Metrics().Engine.Transports {
			bytes += transport.SentBytes
		}
		return bytes
	}
	c.expectAlive()
	before := sent()
	for range 100 {
		if err := c.sendPackets("3"); err != nil {
			t.Fatal(err)
		}
	}
	c.expectAlive()
	if got := sent() - before; got > 150 {
		t.Errorf("100 pongs bring about %d bytes", got)
	}
}
