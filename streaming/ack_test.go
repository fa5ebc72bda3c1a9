package streaming

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// ackID returns the ID in an event for which the server wants an answer.
func ackID(t testing.TB, m message) string {
	t.Helper()
	id, _, ok := strings.Cut(strings.TrimPrefix(m.text, "2"), "[")
	if !ok || id == "" {
		t.Fatalf("want an event that asks for an answer, got %v", m)
	}
	return id
}

// expecting is how many answers the socket owes.
func (s *Socket) expecting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acks)
}

func TestAckIsAnsweredOnce(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{}, on("ask", func(e *Event) {
				if !e.Ack.Wanted() {
					t.Error("the answer is not wanted")
				}
				var answers sync.WaitGroup
				for range 10 {
					answers.Go(func() { e.Ack.Reply(mustArgs("once")) })
				}
				answers.Wait()
				if e.Ack.Wanted() {
					t.Error("the answer is still wanted")
				}
				e.Refuse("too_late", "it has been answered")
			}))
			c, _ := s.connected(transport)
			c.send(`27["ask"]`)
			c.expect(`37["once"]`, `2["error",{"message":"it has been answered","code":"too_late"}]`)
			c.expectAlive()
		})
	}
}

func TestAckNobodyWants(t *testing.T) {
	s := newTestServer(t, Options{}, on("tell", func(e *Event) {
		if e.Ack != nil || e.Ack.Wanted() {
			t.Error("an answer is wanted")
		}
		e.Ack.Reply(mustArgs(1))
	}))
	c, _ := s.connected(engineio.WebSocket)
	c.send(`2["tell"]`)
	c.expectAlive()
}

func TestAckAfterTheHandlerHasReturned(t *testing.T) {
	acks := make(chan *Ack, 2)
	s := newTestServer(t, Options{}, on("ask", func(e *Event) { acks <- e.Ack }))
	c, _ := s.connected(engineio.WebSocket)
	c.send(`27["ask"]`, `28["ask"]`)
	first, second := receive(t, "the first", acks), receive(t, "the second", acks)
	second.Reply(mustArgs(2))
	c.expect(`38[2]`)
	c.close()
	s.empty()
	first.Reply(mustArgs(1))
}

func TestCall(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(t, Options{}, onConnect(sockets))
			c, _ := s.connected(transport)
			socket := receive(t, "a socket", sockets)
			for i, test := range []struct {
				answer []any
				list   string
			}{
				{[]any{`3%s[]`}, ""},
				{[]any{`3%s["yes",{"a":1}]`}, `"yes",{"a":1}`},
				{[]any{`61-%s[{"data":` + placeholder0 + `}]`, []byte("binary")}, `{"data":` + placeholder0 + `}`},
			} {
				done := make(chan packet.Args, 1)
				go func() {
					args, err := socket.Call(t.Context(), "question", mustArgs(i))
					if err != nil {
						t.Error(err)
					}
					done <- args
				}()
				question := c.next()
				id := ackID(t, question)
				if want := fmt.Sprintf(`2%s["question",%d]`, id, i); question.text != want {
					t.Errorf("want %s, got %v", want, question)
				}
				test.answer[0] = fmt.Sprintf(test.answer[0].(string), id)
				c.send(test.answer...)
				// The second answer counts for nothing.
				c.send(`3` + id + `["again"]`)
				args := receive(t, "the answer", done)
				if listOf(args) != test.list || len(args.Attachments()) != len(test.answer)-1 {
					t.Errorf("answer %q with %d attachments", listOf(args), len(args.Attachments()))
				}
			}
			c.expectAlive()
			if n := socket.expecting(); n != 0 {
				t.Errorf("%d answers are still waited for", n)
			}
		})
	}
}

// A handler may call its own socket: the answer does not wait for the handler
// to end.
func TestCallFromHandlerToItsOwnSocket(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{}, on("begin", func(e *Event) {
				for range 3 {
					args, err := e.Socket.Call(t.Context(), "question", packet.Args{})
					if err != nil || listOf(args) != `"yes"` {
						t.Errorf("answer %q, %v", listOf(args), err)
					}
				}
				e.Ack.Reply(mustArgs("done"))
			}))
			c, _ := s.connected(transport)
			c.send(`20["begin"]`, `2["unknown"]`)
			for range 3 {
				c.send(`3` + ackID(t, c.next()) + `["yes"]`)
			}
			c.expect(`30["done"]`)
		})
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := socket.Call(ctx, "question", packet.Args{})
		done <- err
	}()
	id := ackID(t, c.next())
	cancel()
	if err := receive(t, "the end of the call", done); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	c.send(`3` + id + `["too late"]`)
	c.expectAlive()
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := socket.Call(ctx, "question", packet.Args{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestCallEndsWithItsClient(t *testing.T) {
	for _, way := range []string{"vanish", "leave", "server"} {
		t.Run(way, func(t *testing.T) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(t, Options{}, onConnect(sockets))
			c, _ := s.connected(engineio.WebSocket)
			socket := receive(t, "a socket", sockets)
			done := make(chan error, 1)
			go func() {
				_, err := socket.Call(context.Background(), "question", packet.Args{})
				done <- err
			}()
			c.next()
			switch way {
			case "vanish":
				c.vanish()
			case "leave":
				c.send("1")
			case "server":
				socket.Disconnect(true)
			}
			if err := receive(t, "the end of the call", done); !errors.Is(err, ErrDisconnected) {
				t.Errorf("error %v", err)
			}
			if _, err := socket.Call(context.Background(), "question", packet.Args{}); !errors.Is(err, ErrDisconnected) {
				t.Errorf("second call: %v", err)
			}
		})
	}
}

func TestEmitWithAck(t *testing.T) {
	type answer struct {
		list string
		err  error
	}
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	answers := make(chan answer, 10)
	ask := func(timeout time.Duration) {
		t.Helper()
		if err := socket.EmitWithAck("question", mustArgs(1), timeout, func(a packet.Args, err error) { answers <- answer{listOf(a), err} }); err != nil {
			t.Fatal(err)
		}
	}

	ask(patience)
	id := ackID(t, c.next())
	c.send(`3`+id+`["yes"]`, `3`+id+`["again"]`)
	if got := receive(t, "the answer", answers); got.list != `"yes"` || got.err != nil {
		t.Errorf("answer %+v", got)
	}

	ask(20 * time.Millisecond)
	id = ackID(t, c.next())
	if got := receive(t, "the timeout", answers); !errors.Is(got.err, context.DeadlineExceeded) {
		t.Errorf("answer %+v", got)
	}
	c.send(`3` + id + `["too late"]`)
	c.expectAlive()

	ask(patience)
	ask(patience)
	c.next()
	c.vanish()
	for range 2 {
		if got := receive(t, "the disconnect", answers); !errors.Is(got.err, ErrDisconnected) {
			t.Errorf("answer %+v", got)
		}
	}
	s.empty()
	if err := socket.EmitWithAck("question", packet.Args{}, patience, func(packet.Args, error) { t.Error("answered") }); !errors.Is(err, ErrDisconnected) {
		t.Errorf("error %v", err)
	}
	if len(answers) != 0 {
		t.Errorf("%d answers too many", len(answers))
	}
}

// However short the timeout is, the answer is called once.
func TestEmitWithAckAndHardlyAnyTimeout(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	_, _ = s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	answers := make(chan error, 1)
	for _, timeout := range []time.Duration{-1, 0, 1, time.Microsecond} {
		for range 100 {
			if err := socket.EmitWithAck("question", packet.Args{}, timeout, func(_ packet.Args, err error) { answers <- err }); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, "the timeout", answers); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
	}
}

// Answers run in order with the handlers of the socket.
func TestEmitWithAckRunsInOrderWithHandlers(t *testing.T) {
	var order []string
	sockets := make(chan *Socket, 1)
	gone := make(chan struct{})
	begin := make(chan struct{})
	s := newTestServer(t, Options{}, onConnect(sockets), handlers(func(_ *Namespace, h *Handlers) {
		_ = h.On("note", func(e *Event) {
			receive(t, "the beginning", begin)
			order = append(order, string(e.Args.At(0)))
		})
		h.OnDisconnect(func(*Socket, Reason) {
			order = append(order, "gone")
			close(gone)
		})
	}))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	for range 2 {
		err := socket.EmitWithAck("question", packet.Args{}, patience, func(a packet.Args, err error) {
			order = append(order, fmt.Sprintf("%s %v", listOf(a), err))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	first := ackID(t, c.next())
	c.send(`2["note",1]`, `2["note",2]`, `3`+first+`["answer"]`, `2["note",3]`)
	c.close()
	s.empty()
	close(begin)
	receive(t, "the disconnect", gone)
	want := []string{"1", "2", `"answer" <nil>`, "3", " " + ErrDisconnected.Error(), "gone"}
	if !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}

func TestBroadcastCall(t *testing.T) {
	s := newTestServer(t, Options{}, on("ask others", func(e *Event) {
		replies, err := e.Socket.Broadcast().Call(t.Context(), "question", mustArgs("all"))
		if err != nil {
			t.Error(err)
		}
		slices.SortFunc(replies, func(a, b Reply) int { return strings.Compare(listOf(a.Args), listOf(b.Args)) })
		var got []string
		for _, r := range replies {
			got = append(got, fmt.Sprintf("%s %s %v", r.SocketID, listOf(r.Args), r.Err))
		}
		e.Ack.Reply(mustArgs(got))
	}))
	asker, _ := s.connected(engineio.WebSocket)
	one, oneID := s.connected(engineio.WebSocket)
	two, twoID := s.connected(engineio.Polling)
	gone, goneID := s.connected(engineio.WebSocket)
	asker.send(`20["ask others"]`)
	two.send(`3` + ackID(t, two.next()) + `[2]`)
	one.send(`3` + ackID(t, one.next()) + `[1]`)
	ackID(t, gone.next())
	gone.vanish()
	asker.expect(fmt.Sprintf(`30[["%s  %s","%s 1 \u003cnil\u003e","%s 2 \u003cnil\u003e"]]`, goneID, ErrDisconnected, oneID, twoID))
	asker.expectAlive()
}

func TestBroadcastCallEndsWithItsContext(t *testing.T) {
	s := newTestServer(t, Options{})
	n := s.Of("/")
	if replies, err := n.Everyone().Call(t.Context(), "question", packet.Args{}); err != nil || len(replies) != 0 {
		t.Errorf("call to nobody: %v, %v", replies, err)
	}
	quick, quickID := s.connected(engineio.WebSocket)
	slow, slowID := s.connected(engineio.WebSocket)
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		replies []Reply
		err     error
	}
	done := make(chan result, 1)
	go func() {
		replies, err := n.Everyone().Call(ctx, "question", packet.Args{})
		done <- result{replies, err}
	}()
	quick.send(`3` + ackID(t, quick.next()) + `[1]`)
	id := ackID(t, slow.next())
	eventually(t, "the first answer", func() bool {
		return n.To(quickID).Sockets()[0].expecting() == 0
	})
	cancel()
	got := receive(t, "the end of the call", done)
	if !errors.Is(got.err, context.Canceled) || len(got.replies) != 2 {
		t.Fatalf("result %+v", got)
	}
	for _, r := range got.replies {
		if r.SocketID == quickID && (r.Err != nil || listOf(r.Args) != "1") || r.SocketID == slowID && !errors.Is(r.Err, context.Canceled) {
			t.Errorf("reply %+v", r)
		}
	}
	slow.send(`3` + id + `["too late"]`)
	slow.expectAlive()
}
