//go:build unix

package migrate

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// bothWays runs a test without TLS and with it.
func bothWays(t *testing.T, run func(t *testing.T, s *site, e *echo)) {
	t.Helper()
	for _, secure := range []bool{false, true} {
		name := "plain"
		if secure {
			name = "tls"
		}
		t.Run(name, func(t *testing.T) {
			e := new(echo)
			s := newSite(t, e.ServeHTTP)
			if secure {
				s.tls = selfSigned(t, "http/1.1")
			}
			run(t, s, e)
		})
	}
}

// TestIdleConnection holds that a client does not notice that the server it has a connection to was
// replaced, however often.
func TestIdleConnection(t *testing.T) {
	bothWays(t, func(_ *testing.T, s *site, _ *echo) {
		first := s.start()
		c := s.dial()
		c.send(get)
		c.expect("1", "GET ")
		second := s.start()
		first.stop()
		c.send(post("hello"))
		c.expect("2", "POST hello")
		c.send(get)
		c.expect("2", "GET ")
		s.start()
		second.stop()
		c.send(post(long(100_000)))
		c.expect("3", "POST "+long(100_000))
	})
}

// TestRequestThatWasDropped holds that a request which the old server has read, and dropped because
// it is stopping, is answered by the new one, once. So is the first request of a connection.
func TestRequestThatWasDropped(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		for _, request := range []string{get, post("hello"), post(long(3000)), post(long(5008)), post(long(1_000_000))} {
			t.Run(fmt.Sprintf("fresh %v, %d bytes", fresh, len(request)), func(t *testing.T) {
				bothWays(t, func(t *testing.T, s *site, e *echo) {
					old := s.start()
					c := s.dial()
					if !fresh {
						c.send(post("first"))
						c.expect("1", "POST first")
						s.settled()
					}
					s.start()
					read, proceed := s.hold(http.StateActive)
					go func() { _, _ = io.WriteString(c, request) }()
					<-read
					ended := old.begin()
					proceed()
					_, body, _ := strings.Cut(request, "\r\n\r\n")
					method, _, _ := strings.Cut(request, " ")
					c.expect("2", method+" "+body)
					<-ended
					if n := e.count(body); n != 1 {
						t.Errorf("the request was answered %d times", n)
					}
					c.send(get)
					c.expect("2", "GET ")
				})
			})
		}
	}
}

// TestPartOfARequest holds that a request whose beginning the old server has read is read from its
// beginning by the new one.
func TestPartOfARequest(t *testing.T) {
	request := post("hello")
	for _, part := range []int{1, 3, 4, 20, len(request) - 7, len(request) - 5} {
		bothWays(t, func(_ *testing.T, s *site, _ *echo) {
			old := s.start()
			c := s.dial()
			c.send(post("first"))
			c.expect("1", "POST first")
			c.send(request[:part])
			if part < len(request)-5 {
				s.await("the beginning to be read", func() bool { return s.pending() == part })
			}
			s.start()
			ended := old.begin()
			c.send(request[part:])
			if part < len(request)-5 {
				c.expect("2", "POST hello")
			} else {
				// It was complete but for its body, so either may have begun with it.
				_, body := c.answer()
				if body != "POST hello" {
					s.t.Errorf("got %q", body)
				}
			}
			<-ended
		})
	}
}

// TestAnswerWhileStopping holds that an answer that was promised to be the last one is followed by
// the end of the connection, and that one that was not, is not.
func TestAnswerWhileStopping(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, _ *echo) {
		begun, proceed := make(chan struct{}, 1), make(chan struct{})
		s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/flushed" {
				_ = http.NewResponseController(w).Flush()
			}
			begun <- struct{}{}
			<-proceed
			_, _ = io.WriteString(w, "done")
		})
		old := s.start()
		last, kept := s.dial(), s.dial()
		last.send(get)
		<-begun
		kept.send("POST /flushed HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello")
		<-begun
		s.start()
		ended := old.begin()
		close(proceed)
		last.expect("1", "done")
		last.closed()
		// Its header said nothing of an end.
		kept.expect("1", "done")
		<-ended
		kept.send(get)
		kept.expect("2", "done")
	})
}

// TestIdleBeforeItIsTold holds that a connection goes over when the server closes it after it has
// become idle, and before this package has been told.
func TestIdleBeforeItIsTold(t *testing.T) {
	bothWays(t, func(_ *testing.T, s *site, _ *echo) {
		noted, proceed := make(chan struct{}), make(chan struct{})
		var once atomic.Bool
		s.before = func(state http.ConnState) {
			if state == http.StateIdle && once.CompareAndSwap(false, true) {
				close(noted)
				<-proceed
			}
		}
		old := s.start()
		c := s.dial()
		c.send(get)
		c.expect("1", "GET ")
		<-noted
		s.start()
		old.stop()
		close(proceed)
		c.send(get)
		c.expect("2", "GET ")
	})
}

// TestUncertainBoundary holds that a connection is closed for good when it is not certain where the
// next request begins.
func TestUncertainBoundary(t *testing.T) {
	for name, sent := range map[string]string{
		"chunked":         "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"bare line feeds": "GET / HTTP/1.1\nHost: example.com\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, new(echo).ServeHTTP)
			old := s.start()
			c := s.dial()
			// The server goes on only after it has stopped listening, so that it looks for no other
			// request.
			read, proceed := s.hold(http.StateIdle)
			c.send(sent)
			<-read
			s.start()
			ended := old.begin()
			proceed()
			if _, body := c.answer(); !strings.HasPrefix(body, "GET") && !strings.HasPrefix(body, "POST") {
				t.Errorf("got %q", body)
			}
			c.closed()
			<-ended
		})
	}
}

// TestBoundaryThatWasRead holds that a connection goes over after a request whose length is not
// known, once the old server waits for the next one, and that one with the beginning of another
// request does not.
func TestBoundaryThatWasRead(t *testing.T) {
	const chunked = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	s := newSite(t, new(echo).ServeHTTP)
	old := s.start()
	c := s.dial()
	c.send(chunked)
	c.expect("1", "POST hello")
	s.await("the server to wait for a request", func() bool {
		c := s.latest.Load()
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.is(between) && c.clean
	})
	next := s.start()
	old.stop()
	c.send(chunked)
	c.expect("2", "POST hello")

	// Two lines of the next request come with one of which the length is not known: the server
	// reads on with an empty buffer.
	c.send(chunked + get[:16] + "Host: example.com\r\n")
	c.expect("2", "POST hello")
	s.await("the server to read on", func() bool {
		c := s.latest.Load()
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.is(between) && c.waits == 2 && !c.clean
	})
	s.start()
	next.stop()
	c.closed()
}

// TestPipelinedRequests holds that requests that are sent at once are all answered, in order.
func TestPipelinedRequests(t *testing.T) {
	bothWays(t, func(_ *testing.T, s *site, _ *echo) {
		old := s.start()
		c := s.dial()
		read, proceed := s.hold(http.StateActive)
		c.send(post("a") + post("b") + post(long(8000)) + get + post("c"))
		<-read
		s.start()
		ended := old.begin()
		proceed()
		c.expect("2", "POST a")
		c.expect("2", "POST b")
		c.expect("2", "POST "+long(8000))
		c.expect("2", "GET ")
		c.expect("2", "POST c")
		<-ended
	})
}

// TestBeginningOfTheNextRequest holds that what the old server has read of the next request while
// it answered one is read again by the new server.
func TestBeginningOfTheNextRequest(t *testing.T) {
	for _, request := range []string{get, post("hello"), post(long(6400))} {
		for _, before := range []int{0, 1, 5, 16, len(post("next"))} {
			// A byte more is read while the handler runs.
			for _, during := range []int{0, 1} {
				t.Run(fmt.Sprintf("%d bytes, %d and %d of the next", len(request), before, during), func(t *testing.T) {
					bothWays(t, func(_ *testing.T, s *site, _ *echo) {
						begun, proceed := make(chan struct{}, 9), make(chan struct{})
						s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							body, _ := io.ReadAll(r.Body)
							_ = http.NewResponseController(w).Flush()
							begun <- struct{}{}
							<-proceed
							_, _ = w.Write(body)
						})
						next := post("next") + get
						old := s.start()
						c := s.dial()
						c.send(request + next[:before])
						<-begun
						if during > 0 {
							c.send(next[before : before+1])
							s.await("the byte to be read", func() bool { return s.pending() == before+1 })
						}
						s.start()
						ended := old.begin()
						close(proceed)
						_, body, _ := strings.Cut(request, "\r\n\r\n")
						c.expect("1", body)
						c.send(next[before+during:])
						c.expect("2", "next")
						c.expect("2", "")
						<-ended
					})
				})
			}
		}
	}
}

// TestBadRequest holds that a request that is answered by the server itself ends the connection.
func TestBadRequest(t *testing.T) {
	s := newSite(t, new(echo).ServeHTTP)
	old := s.start()
	c := s.dial()
	c.send(get)
	c.expect("1", "GET ")
	s.start()
	c.send("GET / HTTP/1.1\r\n\r\n")
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil || response.StatusCode != http.StatusBadRequest {
		t.Fatalf("got %v, %v", response, err)
	}
	_, _ = io.ReadAll(response.Body)
	c.closed()
	old.stop()
}

// TestHandlerThatGivesUp holds that a request is not answered again when its handler has begun, and
// has given up without a word while the server stops.
func TestHandlerThatGivesUp(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, _ *echo) {
		var mu sync.Mutex
		calls := 0
		begun, proceed := make(chan struct{}), make(chan struct{})
		s.handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			calls++
			mu.Unlock()
			begun <- struct{}{}
			<-proceed
			panic(http.ErrAbortHandler)
		})
		old := s.start()
		c := s.dial()
		// The body is neither read nor waited for.
		c.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10000000\r\n\r\n")
		<-begun
		s.start()
		ended := old.begin()
		close(proceed)
		c.closed()
		<-ended
		if calls != 1 {
			t.Errorf("the handler was called %d times", calls)
		}
	})
}

// TestServerThatIsClosed holds that a server that does not wait for its requests cannot have them
// answered again.
func TestServerThatIsClosed(t *testing.T) {
	begun, proceed := make(chan struct{}, 2), make(chan struct{})
	s := newSite(t, func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-proceed
	})
	old := s.start()
	c, idle := s.dial(), s.dial()
	c.send(get)
	<-begun
	s.start()
	_ = old.Close()
	c.closed()
	close(proceed)
	_ = idle
	if len(begun) > 0 {
		t.Error("the request was answered again")
	}
}

// TestHijackedConnection holds that what is taken over from the server is the connection itself,
// and no byte is lost.
func TestHijackedConnection(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, _ *echo) {
		s.handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			inner, before := Release(conn)
			if asConn(inner) != nil {
				t.Errorf("a %T is left", inner)
			}
			rest := make([]byte, buffered.Reader.Buffered())
			_, _ = io.ReadFull(buffered.Reader, rest)
			before = append(rest, before...)
			_, _ = inner.Write(before)
			_, _ = io.CopyN(inner, inner, int64(len(long(10_000))+5-len(before)))
		})
		old := s.start()
		c := s.dial()
		read, proceed := s.hold(http.StateActive)
		go func() { _, _ = io.WriteString(c, get+long(10_000)+"world") }()
		<-read
		s.start()
		ended := old.begin()
		proceed()
		content, err := io.ReadAll(c.reader)
		if string(content) != long(10_000)+"world" {
			t.Errorf("got %d bytes, %v", len(content), err)
		}
		<-ended
	})
}

// TestSize holds that a connection costs little more than it does without this package.
func TestSize(t *testing.T) {
	const most = 96
	if size := unsafe.Sizeof(Conn{}) + unsafe.Sizeof(connContext{}); size > most {
		t.Errorf("%d bytes for a connection and its context", size)
	}
}

// TestConnectionsOfOthers holds that what is no connection of this package is left alone.
func TestConnectionsOfOthers(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	if inner, before := Release(server); inner != server || before != nil {
		t.Errorf("got %v, %q", inner, before)
	}
	NoteState(server, http.StateNew)
	NoteState(nil, http.StateNew)
	if ctx := context.Background(); Context(ctx, server) != ctx {
		t.Error("the context has changed")
	}
}

// TestPlainHTTPWhereTLSIsSpoken holds that whoever has taken one for the other is told so, as
// without this package.
func TestPlainHTTPWhereTLSIsSpoken(t *testing.T) {
	s := newSite(t, new(echo).ServeHTTP)
	s.tls = selfSigned(t, "http/1.1")
	s.start()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, get); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.0 400 ") || !strings.Contains(string(answer), "HTTPS server") {
		t.Fatalf("answered %q, %v", answer, err)
	}
}
