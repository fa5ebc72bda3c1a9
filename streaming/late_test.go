package streaming

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// serveChat makes a server with two namespaces, and a client that is in both.
func serveChat(t *testing.T, transport engineio.Transport, options Options, sets ...EventSet) (s *testServer, c *testClient, root *Socket) {
	t.Helper()
	s = newTestServer(t, options, append(sets, echo())...)
	if _, err := s.Use("/chat", echo()); err != nil {
		t.Fatal(err)
	}
	c, id := s.connected(transport)
	c.connect("/chat")
	return s, c, s.Find(id)
}

// expectChat makes sure that the client is still served in the other namespace.
func (c *testClient) expectChat() {
	c.t.Helper()
	c.send(`2/chat,7["echo"]`)
	c.expect("3/chat,7[]")
}

// endings are the ways in which the server puts a client out of its main namespace,
// and what the client is told.
var endings = []struct {
	name string
	end  func(s *testServer, root *Socket)
	told []any
}{
	{"disconnected", func(_ *testServer, root *Socket) { root.Disconnect(false) }, []any{"1"}},
	{"namespace removed", func(s *testServer, _ *Socket) { s.Remove("/") }, []any{"1"}},
	{"identity ended", func(s *testServer, root *Socket) {
		s.auth.give(root, &Identity{ID: "ann", Expires: time.Now().Add(-time.Second)}, nil)
	}, []any{`2["error",{"message":"the token has expired","code":"token_expired"}]`, "1"}},
	{"identity revoked", func(s *testServer, _ *Socket) {
		if err := s.Of("/").Use(echo(), authenticate(byName)); err != nil {
			panic(err)
		}
		s.Of("/").Recheck()
	}, []any{`2["error",{"message":"not authorized","code":"unauthorized"}]`, "1"}},
}

// TestWhatComesLateIsDropped holds that a client which the server has put out of one
// namespace keeps the others, whatever it had sent before it could know.
func TestWhatComesLateIsDropped(t *testing.T) {
	const binary = `52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	for _, late := range []struct {
		name     string
		messages []any
	}{
		{"event", []any{`2["echo"]`}},
		{"events", []any{`2["echo"]`, `21["echo"]`, `2["other"]`}},
		{"event of no sense", []any{`2{}`}},
		{"acknowledgement", []any{`30[]`}},
		{"binary event", []any{binary, []byte("a"), []byte("b"), `2["echo"]`}},
		{"binary acknowledgement", []any{`61-0[{"_placeholder":true,"num":0}]`, []byte("a"), `2["echo"]`}},
		{"DISCONNECT", []any{`2["echo"]`, "1"}},
	} {
		for _, ending := range endings {
			for _, transport := range bothTransports {
				t.Run(late.name+"/"+ending.name+"/"+string(transport), func(t *testing.T) {
					s, c, root := serveChat(t, transport, Options{})
					ending.end(s, root)
					c.expect(ending.told...)
					c.send(late.messages...)
					c.expectChat()
					c.expectAlive()
				})
			}
		}
	}
}

// TestAttachmentsOfWhatComesLate ends the socket in the middle of a packet.
func TestAttachmentsOfWhatComesLate(t *testing.T) {
	_, c, root := serveChat(t, engineio.WebSocket, Options{})
	c.send(`52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, []byte("a"))
	eventually(t, "what was sent to be seen", func() bool { return root.client().waiting.Load() == 2 })
	root.Disconnect(false)
	c.expect("1")
	c.send([]byte("b"))
	c.expectChat()
}

// TestClientsKeepTheirOtherNamespaces kicks clients that send all the time.
func TestClientsKeepTheirOtherNamespaces(t *testing.T) {
	const rounds = 50
	for _, ending := range endings {
		for _, transport := range bothTransports {
			t.Run(ending.name+"/"+string(transport), func(t *testing.T) {
				s, _, _ := serveChat(t, transport, Options{})
				for round := range rounds {
					if _, err := s.Use("/", echo()); err != nil {
						t.Fatal(err)
					}
					c, id := s.connected(transport)
					c.connect("/chat")
					told, sent := make(chan struct{}), make(chan error)
					go func() {
						for {
							select {
							case <-told:
								sent <- nil
								return
							default:
							}
							if err := c.trySend(`2["echo",{}]`, `51-["echo",{"_placeholder":true,"num":0}]`, []byte("x")); err != nil {
								sent <- err
								return
							}
						}
					}()
					ending.end(s, s.Find(id))
					c.expect(ending.told...)
					close(told)
					if err := receive(t, "the end of the sending", sent); err != nil {
						t.Fatalf("round %d: %v", round, err)
					}
					c.expectChat()
					c.close()
				}
			})
		}
	}
}

// TestWhatComesLateHasABound holds that a client is blamed for what it sends to a
// namespace where it never was, or where it knows that it is no longer.
func TestWhatComesLateHasABound(t *testing.T) {
	for _, test := range []struct {
		name  string
		known func(s *testServer, c *testClient, client *client)
	}{
		{"never there", func(s *testServer, _ *testClient, _ *client) { s.Of("/other") }},
		{"left by itself", func(s *testServer, c *testClient, _ *client) {
			s.Of("/other")
			c.connect("/other")
			c.send("1/other,")
		}},
		{"put out, and left by itself", func(s *testServer, c *testClient, client *client) {
			c.send("1/other,")
			c.expectAlive()
		}},
		{"some heartbeats later", func(_ *testServer, _ *testClient, client *client) {
			for range leftBeats {
				client.Beat()
			}
		}},
		{"unknown after the answer to CONNECT", func(s *testServer, c *testClient, _ *client) {
			c.connect("/other")
			c.send("1/other,")
		}},
		{"put out of many others since", func(s *testServer, c *testClient, client *client) {
			for i := range client.server.limits.Load().Namespaces {
				name := fmt.Sprintf("/%d", i)
				s.Of(name)
				s.Find(c.connect(name)).Disconnect(false)
				c.expect("1" + name + ",")
			}
		}},
	} {
		for _, packet := range []string{`2/other,["echo"]`, `51-/other,["echo",{"_placeholder":true,"num":0}]`, `3/other,0[]`} {
			t.Run(test.name+"/"+packet[:1], func(t *testing.T) {
				s, c, root := serveChat(t, engineio.WebSocket, Options{Limits: Limits{Namespaces: 4}})
				if !strings.HasPrefix(test.name, "never") && test.name != "left by itself" {
					s.Of("/other")
					s.Find(c.connect("/other")).Disconnect(false)
					c.expect("1/other,")
				}
				c.send("1/chat,")
				test.known(s, c, root.client())
				_ = c.trySend(packet)
				c.expectEnd()
			})
		}
	}
}

// TestEventsThatComeLateCount holds that a client gains nothing by sending to a
// namespace that it was put out of.
func TestEventsThatComeLateCount(t *testing.T) {
	// Two namespaces and two events that come late are four.
	s, c, root := serveChat(t, engineio.WebSocket, Options{Limits: Limits{Events: rarely(4)}})
	root.Disconnect(false)
	c.expect("1")
	c.send(`2["echo"]`, `51-["echo",{"_placeholder":true,"num":0}]`, []byte("x"))
	c.expectChat()
	if n := s.met(LimitEvents); n != 1 {
		t.Errorf("slowed down %d times", n)
	}
}

// TestRefusedClientsMayHaveSentEvents holds that a client which does not wait for the
// answer to CONNECT keeps its other namespaces, if the answer is a refusal.
func TestRefusedClientsMayHaveSentEvents(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s, c, _ := serveChat(t, transport, Options{})
			if _, err := s.Use("/guarded", authenticate(byName)); err != nil {
				t.Fatal(err)
			}
			c.send("0/guarded,")
			c.expect(`4/guarded,{"message":"not authorized","data":{"code":"unauthorized"}}`)
			c.send(`2/guarded,["echo"]`, `51-/guarded,["echo",{"_placeholder":true,"num":0}]`, []byte("x"))
			c.expectChat()
		})
	}
}
