package streaming

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// waitingForRoom reports whether the client's reader waits for room in the
// inbox, and how full that is.
func (s *Socket) waitingForRoom() (waits bool, tasks, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inbox.room != nil, len(s.inbox.tasks), int(s.inbox.bytes)
}

// While a handler waits, no more than so many events wait with it. The client
// is not read from then; nothing it sends is lost.
func TestTooManyWaitingEventsStopReading(t *testing.T) {
	for _, test := range []struct {
		name   string
		events int
		size   int
	}{
		{"many", 2 * maxWaitingEvents, 10},
		{"large", 12, 500_000},
	} {
		for _, transport := range bothTransports {
			t.Run(test.name+"/"+string(transport), func(t *testing.T) {
				j := newJournal()
				s := newTestServer(t, Options{}, j)
				c, _ := s.connected(transport)
				socket := receive(t, "a socket", j.sockets)
				c.send(`2["wait"]`)
				receive(t, "the first event", j.waits)
				// Binary, since to read megabytes of JSON takes a busy machine long.
				padding := bytes.Repeat([]byte{'x'}, test.size)
				var sending sync.WaitGroup
				sending.Go(func() {
					for i := range test.events {
						text := fmt.Sprintf(`51-["note",%d,{"_placeholder":true,"num":0}]`, i)
						if err := c.trySend(text, padding); err != nil {
							t.Error(err)
							return
						}
					}
				})
				eventually(t, "reading to stop", func() bool {
					waits, _, _ := socket.waitingForRoom()
					return waits
				})
				if _, tasks, bytes := socket.waitingForRoom(); tasks > maxWaitingEvents || bytes > maxWaitingBytes {
					t.Errorf("%d events of %d bytes wait", tasks, bytes)
				}
				close(j.gate)
				sending.Wait()
				eventually(t, "all to be handled", func() bool {
					j.mu.Lock()
					defer j.mu.Unlock()
					return len(j.lines) == test.events+1
				})
				for i, line := range j.lines[1:] {
					if line != fmt.Sprint(i) {
						t.Fatalf("event %d is %s", i, line)
					}
				}
				if _, tasks, bytes := socket.waitingForRoom(); tasks != 0 || bytes != 0 {
					t.Errorf("%d events of %d bytes still wait", tasks, bytes)
				}
				c.expectAlive()
			})
		}
	}
}

// A socket that is disconnected while its reader waits for room frees it.
func TestDisconnectFreesAReaderThatWaits(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			j := newJournal()
			s := newTestServer(t, Options{}, j)
			c, _ := s.connected(transport)
			socket := receive(t, "a socket", j.sockets)
			packets := []any{`2["wait"]`}
			for i := range 2 * maxWaitingEvents {
				packets = append(packets, fmt.Sprintf(`2["note",%d]`, i))
			}
			var sending sync.WaitGroup
			sending.Go(func() { _ = c.trySend(packets...) })
			eventually(t, "reading to stop", func() bool {
				waits, _, _ := socket.waitingForRoom()
				return waits
			})
			socket.Disconnect(true)
			c.expect("1")
			c.expectEnd()
			sending.Wait()
			j.check(t, "connect", "disconnect: "+string(ReasonServerDisconnect), "[blue red]")
		})
	}
}

// A handler that calls its own client, whose answer is behind more events than
// may wait, gets none before its context ends; then everything goes on.
func TestCallBehindTooManyWaitingEvents(t *testing.T) {
	const events = 2 * maxWaitingEvents
	var handled atomic.Int32
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		_ = h.On("begin", func(e *Event) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := e.Socket.Call(ctx, "question", packet.Args{})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		})
		_ = h.On("note", func(*Event) { handled.Add(1) })
	}))
	c, _ := s.connected(engineio.WebSocket)
	c.send(`2["begin"]`)
	id := ackID(t, c.next())
	for range events {
		c.send(`2["note"]`)
	}
	c.send(`3` + id + `[]`)
	c.expectAlive()
	eventually(t, "all to be handled", func() bool { return handled.Load() == events })
}

// The handlers of one socket run one at a time, whatever they are of.
func TestHandlersOfOneSocketNeverOverlap(t *testing.T) {
	const events = 200
	var running, ran atomic.Int32
	alone := func() {
		if running.Add(1) != 1 {
			t.Error("two handlers of one socket run at the same time")
		}
		hesitate()
		ran.Add(1)
		running.Add(-1)
	}
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		h.OnAuthorize(func(context.Context, *Socket) error { alone(); return nil })
		h.OnConnect(func(*Socket) { alone() })
		h.OnConnect(func(s *Socket) {
			go func() {
				for range events {
					_ = s.EmitWithAck("question", packet.Args{}, patience, func(packet.Args, error) { alone() })
				}
			}()
		})
		_ = h.On("note", func(*Event) { alone() })
		h.OnDisconnect(func(*Socket, Reason) { alone() })
	}))
	c, _ := s.connected(engineio.WebSocket)
	var sending sync.WaitGroup
	sending.Go(func() {
		for range events {
			if err := c.trySend(`2["note"]`); err != nil {
				t.Error(err)
			}
		}
	})
	for range events {
		c.send(`3` + ackID(t, c.next()) + `[]`)
	}
	sending.Wait()
	eventually(t, "all to be handled", func() bool { return ran.Load() == 2+2*events })
	c.close()
	eventually(t, "the disconnect", func() bool { return ran.Load() == 3+2*events })
}

// Sockets do not wait for one another: a handler of one waits, those of the
// others run.
func TestHandlerThatWaitsHoldsUpNobodyElse(t *testing.T) {
	j := newJournal()
	s := newTestServer(t, Options{}, j, relayTo("message"))
	stuck, _ := s.connected(engineio.WebSocket)
	receive(t, "a socket", j.sockets)
	stuck.send(`2["wait"]`)
	receive(t, "the event", j.waits)
	other, _ := s.connected(engineio.Polling)
	receive(t, "a socket", j.sockets)
	for i := range 10 {
		other.send(fmt.Sprintf(`2["message",%d]`, i))
		stuck.expect(fmt.Sprintf(`2["message",%d]`, i))
	}
	close(j.gate)
}

// A handler that waits does not stop the heartbeat of its socket: pings go
// out, pongs are read.
func TestHandlerThatWaitsDoesNotStopTheHeartbeat(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			j := newJournal()
			options := Options{Engine: engineio.Options{PingInterval: 50 * time.Millisecond, PingTimeout: 5 * time.Second}}
			s := newTestServer(t, options, j)
			c, _ := s.connected(transport)
			socket := receive(t, "a socket", j.sockets)
			c.send(`2["wait"]`)
			receive(t, "the event", j.waits)
			eventually(t, "four pings to be answered", func() bool { return c.pings.Load() >= 5 })
			if !socket.Connected() {
				t.Error("the socket was disconnected")
			}
			c.close()
			j.check(t, "connect", "disconnect: "+string(engineio.ReasonTransportClose), "[blue red]")
		})
	}
}

// An idle socket has no goroutine of its own.
func TestIdleSocketHasNoGoroutine(t *testing.T) {
	const sockets = 50
	var handled atomic.Int32
	s := newTestServer(t, Options{}, on("note", func(*Event) { handled.Add(1) }))
	before := runtime.NumGoroutine()
	for range sockets {
		c, _ := s.connected(engineio.WebSocket)
		c.send(`2["note"]`)
	}
	eventually(t, "all to be handled", func() bool { return handled.Load() == sockets })
	// A client here has one reader, and so has its connection at the server.
	eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2*sockets+runtime.GOMAXPROCS(0)+2 })
}
