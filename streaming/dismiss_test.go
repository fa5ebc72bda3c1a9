package streaming

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

const disconnectedWhileConnecting = `4{"message":"disconnected by the server","data":{"code":"disconnected"}}`

// TestConnectIsAnsweredWhenTheServerEndsTheSocket holds that a client gets an answer
// to CONNECT whatever ends its socket before it has connected, and that it gets one.
func TestConnectIsAnsweredWhenTheServerEndsTheSocket(t *testing.T) {
	for _, test := range []struct {
		name string
		// check is what happens while the client is being let in.
		check  func(s *testServer, socket *Socket) error
		answer string
		// closes is true when the client's connection ends as well.
		closes bool
	}{
		{"disconnected by a check", func(_ *testServer, socket *Socket) error {
			socket.Disconnect(false)
			return nil
		}, disconnectedWhileConnecting, false},
		{"disconnected by a check that refuses as well", func(_ *testServer, socket *Socket) error {
			socket.Disconnect(false)
			return errors.New("no")
		}, disconnectedWhileConnecting, false},
		{"disconnected twice", func(_ *testServer, socket *Socket) error {
			socket.Disconnect(false)
			socket.Disconnect(false)
			return nil
		}, disconnectedWhileConnecting, false},
		{"disconnected from elsewhere", func(_ *testServer, socket *Socket) error {
			go socket.Disconnect(false)
			<-socket.Context().Done()
			return context.Cause(socket.Context())
		}, disconnectedWhileConnecting, false},
		{"kicked", func(_ *testServer, socket *Socket) error {
			socket.Kick(false)
			return nil
		}, `4{"message":"disconnected by an operator","data":{"code":"kicked"}}`, false},
		{"connection closed by a check", func(_ *testServer, socket *Socket) error {
			socket.Disconnect(true)
			return nil
		}, disconnectedWhileConnecting, true},
		{"connection closed by a check that refuses as well", func(_ *testServer, socket *Socket) error {
			socket.Disconnect(true)
			return errors.New("no")
		}, disconnectedWhileConnecting, true},
		{"namespace removed", func(s *testServer, _ *Socket) error {
			s.Remove("/")
			return nil
		}, `4{"message":"Invalid namespace"}`, false},
		{"namespace removed, and refused", func(s *testServer, _ *Socket) error {
			s.Remove("/")
			return &Refusal{Code: CodeForbidden}
		}, `4{"message":"not authorized","data":{"code":"forbidden"}}`, false},
		{"identity ended", func(s *testServer, socket *Socket) error {
			s.auth.give(socket, &Identity{ID: "ann", Expires: time.Now().Add(-time.Second)}, nil)
			<-socket.Context().Done()
			return nil
		}, `4{"message":"the token has expired","data":{"code":"token_expired"}}`, false},
	} {
		for _, transport := range bothTransports {
			t.Run(test.name+"/"+string(transport), func(t *testing.T) {
				var s *testServer
				ended := make(chan struct{})
				s = newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
					h.OnAuthorize(func(_ context.Context, socket *Socket) error {
						defer close(ended)
						return test.check(s, socket)
					})
					h.OnConnect(func(*Socket) { t.Error("OnConnect was told") })
					h.OnDisconnect(func(*Socket, Reason) { t.Error("OnDisconnect was told") })
				}))
				c := s.dial(transport)
				c.send("0")
				if test.closes {
					if rest := c.expectEnd(); len(rest) != 1 || rest[0].text != test.answer {
						t.Errorf("got %v", rest)
					}
					s.empty()
				} else {
					c.expect(test.answer)
					receive(t, "the end of the check", ended)
					c.expectAlive()
				}
				if lines := s.logs.all("connection to a namespace refused"); len(lines) == 0 || lines[0].attrs["namespace"] != "/" {
					t.Errorf("logged %v", lines)
				}
			})
		}
	}
}

// TestKickIsToldBeforeTheEnd holds that a client hears that somebody has decided against
// it, in each of its namespaces that it is disconnected from, before it is.
func TestKickIsToldBeforeTheEnd(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{})
			s.Of("/other")
			c, id := s.connected(transport)
			c.connect("/other")
			const why = `["error",{"message":"disconnected by an operator","code":"kicked"}]`
			s.Find(id).Kick(false)
			c.expect("2"+why, "1")
			c.expectAlive()

			c.connect("/")
			s.Of("/other").Everyone().Sockets()[0].Kick(true)
			var got []string
			for _, m := range c.expectEnd() {
				got = append(got, m.text)
			}
			if want := []string{"2/other," + why, "1/other,", "2" + why, "1"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestConnectWhileTheConnectionEndsIsAnswered holds that a namespace which the client
// asks for after it was told to go is refused, so that it does not come back for it.
func TestConnectWhileTheConnectionEndsIsAnswered(t *testing.T) {
	s := newTestServer(t, Options{})
	s.Of("/other")
	c, id := s.connected(engineio.WebSocket)
	client := s.Find(id).client()
	for _, socket := range client.take() {
		socket.dismiss(ReasonServerDisconnect, nil)
	}
	c.send("0/other,")
	c.expect("1", strings.Replace(disconnectedWhileConnecting, "4{", "4/other,{", 1))
	client.session.Close(engineio.ReasonForcedClose)
}

// TestRefreshBeforeTheEndIsDecidedCounts holds that a client which is told that it has
// refreshed stays, although its former identity was due by then.
func TestRefreshBeforeTheEndIsDecidedCounts(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName))
	c := s.dial(engineio.WebSocket)
	c.send(`0{"name":"ann","lives":3600000}`)
	c.next()
	socket := s.Of("/").Everyone().Sockets()[0]
	due := socket.grant.Load()
	c.send(`20["auth:refresh",{"name":"ann"}]`)
	c.expect(`30[{"success":true,"expiresAt":null}]`)
	s.auth.expire(due)
	c.expectAlive()
	if !socket.Connected() || s.auth.counts.expired.Load() != 0 {
		t.Error("disconnected as expired, with an identity that has no end")
	}
}

// TestRefreshAfterTheEndIsDecidedFails holds that nobody is told of success who is
// about to be disconnected.
func TestRefreshAfterTheEndIsDecidedFails(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName))
	c := s.dial(engineio.WebSocket)
	c.send(`0{"name":"ann","lives":3600000}`)
	c.next()
	socket := s.Of("/").Everyone().Sockets()[0]
	s.auth.mu.Lock()
	socket.grant.Load().ended = true
	s.auth.mu.Unlock()
	c.send(`20["auth:refresh",{"name":"ann"}]`)
	c.expect(`30[{"success":false,"error":"the token has expired","code":"token_expired"}]`,
		`2["error",{"message":"the token has expired","code":"token_expired"}]`)
	if s.auth.exchange(socket, socket.grant.Load(), &Identity{ID: "ann"}) {
		t.Error("a recheck has renewed an identity that has ended")
	}
	s.auth.expire(socket.grant.Load())
	c.expect(`2["error",{"message":"the token has expired","code":"token_expired"}]`, "1")
	c.expectAlive()
}

// TestOneSocketForEachNameOfANamespace connects again where the former namespace of
// that name still has a socket of the client.
func TestOneSocketForEachNameOfANamespace(t *testing.T) {
	s := newTestServer(t, Options{})
	old := s.Of("/room")
	c, _ := s.connected(engineio.WebSocket)
	c.connect("/room")
	// The namespace is made anew before Remove comes to the socket.
	s.mu.Lock()
	delete(s.namespaces, "/room")
	s.mu.Unlock()
	if s.Of("/room") == old {
		t.Fatal("the namespace was not made anew")
	}
	_ = c.trySend("0/room,")
	if rest := c.expectEnd(); len(rest) != 0 {
		t.Errorf("got %v", rest)
	}
}

// TestNamespaceMadeAnewTakesTheClientsOfTheFormerOne removes a namespace and makes it
// again while its clients send, and come back as soon as they are told.
func TestNamespaceMadeAnewTakesTheClientsOfTheFormerOne(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{})
			use := func() {
				if _, err := s.Use("/room", echo()); err != nil {
					t.Error(err)
				}
			}
			use()
			c, _ := s.connected(transport)
			c.connect("/room")
			for range 20 {
				go func() {
					s.Remove("/room")
					use()
				}()
				for m := c.next(); m.text != "1/room,"; m = c.next() {
					t.Fatalf("got %v", m)
				}
				eventually(t, "the namespace to be there again", func() bool { return s.namespace("/room") != nil })
				c.connect("/room")
				c.send(`2/room,7["echo"]`)
				c.expect("3/room,7[]")
			}
		})
	}
}

// TestNothingComesAfterTheDisconnect puts sockets out while others send to them: what comes to
// the client of one comes before it is told, or not at all.
func TestNothingComesAfterTheDisconnect(t *testing.T) {
	const rounds, senders = 60, 3
	large := mustArgs(strings.Repeat("x", 200_000))
	for _, test := range []struct {
		name string
		send func(*Socket)
	}{
		{"an event", func(s *Socket) { _ = s.EmitArgs("news", large) }},
		{"a question", func(s *Socket) { _ = s.EmitWithAck("news", large, time.Minute, func(packet.Args, error) {}) }},
		{"a broadcast to one", func(s *Socket) { _ = s.Namespace().To(s.ID()).Emit("news") }},
		{"a question to a room of one", func(s *Socket) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _ = s.Namespace().To(s.ID()).Call(ctx, "news", packet.Args{})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(t, Options{Engine: engineio.Options{SendBuffer: 1 << 30}}, onConnect(sockets))
			c := s.dial(engineio.WebSocket)
			for range rounds {
				c.send("0")
				if m := c.next(); !strings.HasPrefix(m.text, `0{`) {
					t.Fatalf("after the client was put out came %.40s", m)
				}
				socket := receive(t, "a socket", sockets)
				var sending sync.WaitGroup
				for range senders {
					sending.Go(func() {
						for socket.Connected() {
							test.send(socket)
						}
					})
				}
				c.next()
				socket.Disconnect(false)
				sending.Wait()
				for c.next().text != "1" {
				}
			}
		})
	}
}
