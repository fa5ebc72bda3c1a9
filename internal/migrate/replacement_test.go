//go:build unix

package migrate

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestNoSuccessor holds that connections are closed when there is no server that takes them.
func TestNoSuccessor(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, _ *echo) {
		other := newSite(t, s.handler.ServeHTTP)
		other.tls = s.tls
		other.start()
		g := s.start()
		c := s.dial()
		c.send(get)
		c.expect("1", "GET ")
		g.stop()
		c.closed()
		if conn, err := net.Dial("tcp", s.address); err == nil {
			_ = conn.Close()
			t.Error("somebody listens")
		}
	})
}

// TestAnotherKind holds that connections do not go over to a server that lets them in by other
// rules.
func TestAnotherKind(t *testing.T) {
	for name, change := range map[string]func(s *site){
		"kind": func(s *site) { s.kind = "another" },
		"tls":  func(s *site) { s.tls = selfSigned(s.t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, new(echo).ServeHTTP)
			old := s.start()
			c := s.dial()
			c.send(get)
			c.expect("1", "GET ")
			change(s)
			s.start()
			old.stop()
			c.closed()
		})
	}
}

// TestServerThatFails holds that connections go back to the older server when the younger one is
// the one that stops.
func TestServerThatFails(t *testing.T) {
	s := newSite(t, new(echo).ServeHTTP)
	older := s.start()
	c := s.dial()
	c.send(get)
	c.expect("1", "GET ")
	younger := s.start()
	var clients []*client
	for range 20 {
		c := s.dial()
		c.send(get)
		c.answer()
		clients = append(clients, c)
	}
	younger.stop()
	for _, c := range append(clients, c) {
		c.send(get)
		c.expect("1", "GET ")
	}
	older.stop()
	c.closed()
}

// TestIdleTimeout holds that a connection ends by its server's timeouts, although there is another
// server.
func TestIdleTimeout(t *testing.T) {
	bothWays(t, func(_ *testing.T, s *site, _ *echo) {
		s.adjust = func(server *http.Server) { server.IdleTimeout = 20 * time.Millisecond }
		old := s.start()
		c := s.dial()
		c.send(get)
		c.expect("1", "GET ")
		s.start()
		c.closed()
		old.stop()
	})
}

// TestDeadlinesEnd holds that the deadlines of the old server do not end a connection that the new
// one has.
func TestDeadlinesEnd(t *testing.T) {
	bothWays(t, func(_ *testing.T, s *site, _ *echo) {
		s.adjust = func(server *http.Server) { server.WriteTimeout, server.IdleTimeout = time.Minute, time.Hour }
		old := s.start()
		c := s.dial()
		c.send(get)
		c.expect("1", "GET ")
		s.settled()
		_ = s.latest.Load().Conn.SetWriteDeadline(aLongTimeAgo)
		s.adjust = nil
		s.start()
		old.stop()
		c.send(get)
		c.expect("2", "GET ")
	})
}

// TestWaitingToBeAccepted holds that connections that wait at the old socket are not reset when it
// is closed.
func TestWaitingToBeAccepted(t *testing.T) {
	s := newSite(t, new(echo).ServeHTTP)
	var once atomic.Bool
	accepted, proceed := make(chan struct{}), make(chan struct{})
	s.before = func(state http.ConnState) {
		// The old server accepts one connection and is too busy for others.
		if state == http.StateNew && once.CompareAndSwap(false, true) {
			close(accepted)
			<-proceed
		}
	}
	old := s.start()
	clients := []*client{s.dial()}
	<-accepted
	for range 20 {
		c := s.dial()
		c.send(get)
		clients = append(clients, c)
	}
	s.start()
	ended := old.begin()
	for _, c := range clients[1:] {
		c.expect("2", "GET ")
	}
	close(proceed)
	clients[0].send(get)
	clients[0].expect("2", "GET ")
	<-ended
}

// countedListener counts how often it was closed.
type countedListener struct {
	net.Listener
	closes *atomic.Int32
}

func (l countedListener) Close() error {
	l.closes.Add(1)
	return l.Listener.Close()
}

// TestSocketIsClosedOnce holds that the listener inside is closed once: Caddy counts who uses an
// address by that.
func TestSocketIsClosedOnce(t *testing.T) {
	s := newSite(t, new(echo).ServeHTTP)
	old := s.start()
	closes := new(atomic.Int32)
	counted := Listen(countedListener{old.listener.Listener, closes}, s.kind)
	accepting := make(chan error)
	go func() {
		_, err := counted.Accept()
		accepting <- err
	}()
	s.start()
	_ = counted.Close()
	_ = counted.Close()
	if err := <-accepting; err == nil {
		t.Error("a connection came from nowhere")
	}
	if n := closes.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
}

// TestManyReplacements holds that clients that post all the time lose nothing, and that nothing is
// answered twice, while one server replaces the other.
func TestManyReplacements(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls %v", secure), func(t *testing.T) {
			e := new(echo)
			s := newSite(t, e.ServeHTTP)
			replacements := 150
			if secure {
				s.tls = selfSigned(t, "http/1.1")
				replacements = 60
			}
			current := s.start()
			address := s.address
			done := make(chan struct{})
			var group sync.WaitGroup
			sent := make([]int, 30)
			for i := range sent {
				c := s.dial()
				random := rand.New(rand.NewPCG(uint64(i), 1))
				group.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						body := fmt.Sprintf("client %d message %d %s", i, sent[i], long(random.IntN(4)*random.IntN(3000)))
						sent[i]++
						request := post(body)
						cut := random.IntN(len(request))
						// Each request has its time, however long the test takes.
						_ = c.SetDeadline(time.Now().Add(patience))
						_, err := io.WriteString(c, request[:cut])
						if err == nil {
							_, err = io.WriteString(c, request[cut:])
						}
						if err != nil {
							t.Errorf("client %d: %v", i, err)
							return
						}
						response, err := http.ReadResponse(c.reader, nil)
						if err != nil {
							t.Errorf("client %d: %v", i, err)
							return
						}
						content, err := io.ReadAll(response.Body)
						if err != nil || string(content) != "POST "+body {
							t.Errorf("client %d: %.50q, %v", i, content, err)
							return
						}
						if n := e.count(body); n != 1 {
							t.Errorf("client %d: answered %d times", i, n)
						}
						if response.Close {
							// The server is stopping and has said so.
							c.closed()
							_ = c.Close()
							if c, err = s.redial(address); err != nil {
								t.Errorf("client %d: %v", i, err)
								return
							}
						}
					}
				})
			}
			for range replacements {
				next := s.start()
				closed := make(chan struct{})
				current.RegisterOnShutdown(func() { close(closed) })
				s.connecting.Lock()
				ended := current.begin()
				<-closed
				s.connecting.Unlock()
				<-ended
				current = next
			}
			close(done)
			group.Wait()
			total := 0
			for _, n := range sent {
				total += n
			}
			t.Logf("%d requests, %d servers", total, s.next)
			for body, n := range e.seen {
				if n != 1 {
					t.Errorf("%.50q was answered %d times", body, n)
				}
			}
		})
	}
}

// redial is dial for goroutines that must not end the test.
func (s *site) redial(address string) (*client, error) {
	s.connecting.RLock()
	conn, err := net.Dial("tcp", address)
	s.connecting.RUnlock()
	if err != nil {
		return nil, err
	}
	if s.tls != nil {
		conn = insecure(conn)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &client{Conn: conn, t: s.t, reader: bufio.NewReader(conn)}, nil
}
