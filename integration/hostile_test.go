package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// tcp opens a bare connection, which must not last longer than the test is patient.
func (s *server) tcp() net.Conn {
	s.t.Helper()
	conn := do(net.Dial("tcp", "127.0.0.1:"+s.port))(s.t)
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// answerTo sends a request as it is written here, and returns the head of the answer as it came.
func (s *server) answerTo(request string) string {
	s.t.Helper()
	conn := s.tcp()
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	var head strings.Builder
	for reader := bufio.NewReader(conn); ; {
		line, err := reader.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// TestSlowHandshakeIsCutOff holds that a request that does not get on is not waited for: Caddy's
// read_header timeout, a minute by default, is in force before the handler is.
func TestSlowHandshakeIsCutOff(t *testing.T) {
	s := startServer(t, "socketio_stream", "servers {\n timeouts {\n read_header 100ms\n }\n}")
	conn := s.tcp()
	if _, err := io.WriteString(conn, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\n"); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection was not closed: %v, %q", err, rest)
	}
}

// TestHugeRequestsAreRefused holds that neither headers nor a query fill memory: Caddy's
// max_header_size, 16 KiB by default, bounds both before a session keeps any of it.
func TestHugeRequestsAreRefused(t *testing.T) {
	s := startServer(t, "socketio_stream {\n health /health\n}")
	const line = "GET /socket.io/?EIO=4&transport=polling%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n"
	for name, request := range map[string]string{
		"one header":   fmt.Sprintf(line, "", "X-A: "+strings.Repeat("a", 1<<20)+"\r\n"),
		"many headers": fmt.Sprintf(line, "", strings.Repeat("X-A: a\r\n", 100_000)),
		"cookies":      fmt.Sprintf(line, "", "Cookie: "+strings.Repeat("a=b; ", 50_000)+"\r\n"),
		"long query":   fmt.Sprintf(line, "&a="+strings.Repeat("a", 1<<20), ""),
		"many queries": fmt.Sprintf(line, strings.Repeat("&a=1", 100_000), ""),
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.tcp()
			go func() { _, _ = io.WriteString(conn, request) }()
			answer, err := bufio.NewReader(conn).ReadString('\n')
			if err == nil && !strings.Contains(answer, " 431 ") && !strings.Contains(answer, " 400 ") {
				t.Errorf("answered %q", answer)
			}
		})
	}
	if _, body := s.request("GET", "/health", ""); !strings.Contains(body, `"connections":0`) {
		t.Errorf("sessions have begun: %s", body)
	}
}

// TestStalledBodyOfARefusedRequestIsNotWaitedFor sends half a body to a session that is not there.
func TestStalledBodyOfARefusedRequestIsNotWaitedFor(t *testing.T) {
	s := startServer(t, "socketio_stream")
	conns := make(map[string]net.Conn)
	for _, query := range []string{"EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAAAA", "EIO=4&transport=polling", "EIO=3"} {
		conn := s.tcp()
		conns[query] = conn
		if _, err := io.WriteString(conn, "POST /socket.io/?"+query+" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n4"); err != nil {
			t.Fatal(err)
		}
	}
	for query, conn := range conns {
		if rest, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(rest), "HTTP/1.1 400 ") {
			t.Errorf("%s: %v, %q", query, err, rest)
		}
	}
}

// TestNothingIsEchoedIntoHeaders sends what would end a header in every part of a request that any
// answer repeats.
func TestNothingIsEchoedIntoHeaders(t *testing.T) {
	s := startServer(t, "socketio_stream {\n cookie io\n cors {\n origins *\n credentials\n }\n}")
	const crlf = "%0d%0aX-Injected:%20yes"
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	for name, request := range map[string]string{
		"path":           "GET /socket.io/" + crlf + "?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\n",
		"file":           "GET /socket.io/socket.io.js" + crlf + " HTTP/1.1\r\nHost: 127.0.0.1\r\n",
		"query":          "GET /socket.io/?EIO=4&transport=polling" + crlf + "&sid=" + crlf + "&t=" + crlf + "&j=" + crlf + " HTTP/1.1\r\nHost: 127.0.0.1\r\n",
		"folded":         "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n" + upgrade + "Sec-WebSocket-Protocol: chat\r\n X-Injected: yes\r\n",
		"carriage":       "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n" + upgrade + "Sec-WebSocket-Protocol: chat\rX-Injected: yes\r\n",
		"protocol":       "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n" + upgrade + "Sec-WebSocket-Protocol: chat%0d%0aX-Injected: yes, other\r\n",
		"origin":         "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://a.example.com\r\n X-Injected: yes\r\n",
		"preflight":      "OPTIONS /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://a.example.com\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x\r\n X-Injected: yes\r\n",
		"preflight line": "OPTIONS /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://a.example.com\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x\rX-Injected: yes\r\n",
		"host":           "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\n X-Injected: yes\r\n",
		"bare feed":      "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\nOrigin: https://a.example.com\nX-Injected: yes\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			head := s.answerTo(request + "\r\n")
			if !strings.HasPrefix(head, "HTTP/1.1 ") {
				t.Fatalf("no answer: %q", head)
			}
			for line := range strings.Lines(head) {
				if strings.HasPrefix(strings.ToLower(line), "x-injected") || strings.Count(line, "\r") > 1 {
					t.Errorf("a header was made of what a client sent:\n%s", head)
				}
			}
		})
	}
}

// TestNothingTellsAGuessFromASession holds that the answer to a session's ID that is wrong is the
// same however wrong it is, and whether there was such a session before.
func TestNothingTellsAGuessFromASession(t *testing.T) {
	s := startServer(t, "socketio_stream")
	client := s.raw()
	alive := do(client.Handshake(t.Context()))(t)
	ended := do(client.Handshake(t.Context()))(t)
	do(ended.Post(t.Context(), "1"))(t)
	sid := alive.Open.SID
	guesses := []string{
		ended.Open.SID, "AAAAAAAAAAAAAAAAAAAAAAAA", sid[:len(sid)-1], sid + "A", sid[:12] + "AAAAAAAAAAAA",
		strings.ToLower(sid), " " + sid, sid + "\x00", "a", strings.Repeat("A", 8000), "__proto__", "../" + sid,
	}
	for _, method := range []string{"GET", "POST", "PUT"} {
		var first string
		for _, guess := range guesses {
			answer := do(client.Do(t.Context(), method, rawclient.Query(rawclient.Polling, guess), nil, nil))(t)
			delete(answer.Header, "Date")
			got := fmt.Sprint(answer.Status, answer.Header, answer.Body)
			if first == "" {
				first = got
			}
			if got != first || answer.Status != http.StatusBadRequest {
				t.Errorf("%s %q: %s, and to another guess %s", method, guess, got, first)
			}
		}
	}
	// The session is none the worse for it.
	if answer := do(alive.Post(t.Context(), "40"))(t); answer.Status != 200 {
		t.Errorf("status %d", answer.Status)
	}
}

// TestGarbageIsBounded throws bytes that mean nothing at the port, over every way in. The server
// goes on.
func TestGarbageIsBounded(t *testing.T) {
	s := startServer(t, "socketio_stream {\n health /health\n}")
	garbage := make([]byte, 4<<20)
	for i := range garbage {
		garbage[i] = byte(i * i >> 3)
	}
	ways := map[string]func(net.Conn) error{
		"connection": func(conn net.Conn) error { return nil },
		"body": func(conn net.Conn) error {
			poller := do(s.raw().Handshake(t.Context()))(t)
			_, err := fmt.Fprintf(conn, "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", poller.Open.SID, len(garbage))
			return err
		},
		"websocket": func(conn net.Conn) error {
			_, err := io.WriteString(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
			return err
		},
	}
	for name, begin := range ways {
		t.Run(name, func(t *testing.T) {
			conn := s.tcp()
			if err := begin(conn); err != nil {
				t.Fatal(err)
			}
			// How much of it is taken before the connection ends is the server's affair; that it
			// ends is not.
			_, _ = conn.Write(garbage)
			if _, err := io.Copy(io.Discard, conn); err != nil {
				if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
					t.Error("the connection lives on")
				}
			}
		})
	}
	for deadline := time.Now().Add(patience); ; {
		_, body := s.request("GET", "/health", "")
		if strings.Contains(body, `"connections":0`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("sessions are left: %s", body)
		}
		<-time.After(time.Millisecond)
	}
}
