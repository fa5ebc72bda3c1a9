package streaming

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

func TestConnect(t *testing.T) {
	for _, transport := range bothTransports {
		for _, test := range []struct {
			name, packet, answer string
			auth                 string
		}{
			{"no payload", "0", "0{", ""},
			{"empty payload", "0{}", "0{", "{}"},
			{"payload", `0{"token":"secret"}`, "0{", `{"token":"secret"}`},
			{"payload between spaces", "0 {\"token\":\"secret\"}\n", "0{", `{"token":"secret"}`},
			{"namespace", "0/admin,", "0/admin,{", ""},
			{"namespace without comma", "0/admin", "0/admin,{", ""},
			{"namespace and payload", `0/admin,{"token":"secret"}`, "0/admin,{", `{"token":"secret"}`},
		} {
			t.Run(string(transport)+"/"+test.name, func(t *testing.T) {
				sockets := make(chan *Socket, 1)
				s := newTestServer(t, Options{}, onConnect(sockets))
				if err := s.Of("/admin").Use(onConnect(sockets)); err != nil {
					t.Fatal(err)
				}
				c := s.dial(transport)
				c.send(test.packet)
				answer := c.next().text
				socket := receive(t, "a socket", sockets)
				if want := fmt.Sprintf(`%s"sid":"%s"}`, test.answer, socket.ID()); answer != want {
					t.Errorf("answer %s, want %s", answer, want)
				}
				if got := string(socket.Auth()); got != test.auth {
					t.Errorf("auth %q, want %q", got, test.auth)
				}
				token, ok := socket.AuthObject().Text("token")
				if want := strings.Contains(test.auth, "token"); ok != want || ok && token != "secret" {
					t.Errorf("token %q, %v", token, ok)
				}
				if !socket.Connected() || socket.Transport() != transport || len(socket.ID()) != 20 || socket.ID() == socket.client().session.ID() {
					t.Errorf("socket: connected %v, transport %s, ID %s", socket.Connected(), socket.Transport(), socket.ID())
				}
				c.expectAlive()
			})
		}
	}
}

func TestConnectToUnknownNamespace(t *testing.T) {
	s := newTestServer(t, Options{})
	for _, transport := range bothTransports {
		c := s.dial(transport)
		c.send("0/ns,")
		c.expect(`4/ns,{"message":"Invalid namespace"}`)
		c.send(`0/ns,{"token":"x"}`)
		c.expect(`4/ns,{"message":"Invalid namespace"}`)
		c.connect("/")
	}
}

func TestConnectRefused(t *testing.T) {
	refusal := errors.New("a reason that is nobody's business")
	for _, test := range []struct {
		name   string
		err    error
		packet string
		logged string
	}{
		{"message", &ConnectError{Message: "no"}, `4{"message":"no"}`, "no"},
		{"message and data", &ConnectError{Message: "no", Data: []byte(`{"retry":false}`)}, `4{"message":"no","data":{"retry":false}}`, "no"},
		{"wrapped", fmt.Errorf("somewhere: %w", &ConnectError{Message: "no"}), `4{"message":"no"}`, "somewhere: no"},
		{"any other error", refusal, `4{"message":"not authorized"}`, refusal.Error()},
	} {
		for _, transport := range bothTransports {
			t.Run(test.name+"/"+string(transport), func(t *testing.T) {
				s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
					h.OnAuthorize(func(_ context.Context, s *Socket) error {
						if s.Auth() == nil {
							return test.err
						}
						return nil
					})
					h.OnConnect(func(s *Socket) {
						if s.Auth() == nil {
							t.Error("OnConnect was told of a socket that was refused")
						}
					})
					h.OnDisconnect(func(s *Socket, _ Reason) {
						if s.Auth() == nil {
							t.Error("OnDisconnect was told of a socket that was refused")
						}
					})
				}))
				c := s.dial(transport)
				c.send("0")
				c.expect(test.packet)
				if n := len(s.Of("/").Everyone().Sockets()); n != 0 {
					t.Errorf("%d sockets", n)
				}
				lines := s.logs.all("connection to a namespace refused")
				if len(lines) != 1 || lines[0].level != slog.LevelWarn || lines[0].attrs["error"] != test.logged || lines[0].attrs["namespace"] != "/" {
					t.Errorf("logged %+v, want one warning with the error %q", lines, test.logged)
				}
				// It may try again, and the first refusal is not held against it.
				c.send("0{}")
				if m := c.next(); !strings.HasPrefix(m.text, `0{"sid"`) {
					t.Errorf("second attempt: %v", m)
				}
			})
		}
	}
}

func TestConnectChecksRunInOrderUntilOneRefuses(t *testing.T) {
	var asked []string
	check := func(name string, err error) handlers {
		return func(_ *Namespace, h *Handlers) {
			h.OnAuthorize(func(context.Context, *Socket) error {
				asked = append(asked, name)
				return err
			})
		}
	}
	s := newTestServer(t, Options{}, check("first", nil), check("second", &ConnectError{Message: "no"}), check("third", nil))
	c := s.dial(engineio.WebSocket)
	c.send("0")
	c.expect(`4{"message":"no"}`)
	if got := strings.Join(asked, " "); got != "first second" {
		t.Errorf("asked %s", got)
	}
}

func TestConnectTimeout(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{ConnectTimeout: 2 * time.Second}, handlers(func(_ *Namespace, h *Handlers) {
				h.OnAuthorize(func(ctx context.Context, s *Socket) error {
					if s.Auth() != nil {
						<-ctx.Done()
					}
					return ctx.Err()
				})
			}))
			connected, _ := s.connected(transport)
			silent := s.dial(transport)
			wrong := s.dial(transport)
			wrong.send("0/ns,")
			waiting := s.dial(transport)
			waiting.send("0{}")
			silent.expectEnd()
			wrong.expectEnd()
			waiting.expectEnd()
			connected.expectAlive()
		})
	}
}

func TestConnectToSeveralNamespaces(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			gone := make(chan Reason, 1)
			names := []string{"/", "/a", "/b"}
			s := newTestServer(t, Options{})
			for _, name := range names {
				err := s.Of(name).Use(handlers(func(n *Namespace, h *Handlers) {
					_ = h.On("where", func(e *Event) { e.Ack.Reply(mustArgs(n.Name(), e.Socket.ID())) })
					h.OnDisconnect(func(s *Socket, r Reason) {
						if s.Namespace().Name() == "/a" {
							gone <- r
						}
					})
				}))
				if err != nil {
					t.Fatal(err)
				}
			}
			c := s.dial(transport)
			ids := make(map[string]string)
			for _, name := range names {
				ids[name] = c.connect(name)
			}
			c.send(`2/b,7["where"]`)
			c.expect(fmt.Sprintf(`3/b,7["/b","%s"]`, ids["/b"]))
			c.send(`27["where"]`)
			c.expect(fmt.Sprintf(`37["/","%s"]`, ids["/"]))
			if err := s.Of("/a").EmitArgs("hello", mustArgs(1)); err != nil {
				t.Fatal(err)
			}
			c.expect(`2/a,["hello",1]`)
			c.send("1/a,")
			if reason := receive(t, "the disconnect", gone); reason != ReasonClientDisconnect {
				t.Errorf("reason %s", reason)
			}
			c.send(`2/b,8["where"]`)
			c.expect(fmt.Sprintf(`3/b,8["/b","%s"]`, ids["/b"]))
			// Back again, as another socket.
			if id := c.connect("/a"); id == ids["/a"] {
				t.Error("the ID of a socket was used twice")
			}
		})
	}
}

func TestConnectToTooManyNamespacesIsRefused(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(engineio.WebSocket)
	for i := range DefaultNamespaces {
		name := fmt.Sprintf("/n%d", i)
		s.Of(name)
		c.connect(name)
	}
	c.send("0")
	c.expect(`4{"message":"too many namespaces","data":{"code":"too_many_namespaces"}}`)
	if n := s.met(LimitNamespaces); n != 1 {
		t.Errorf("counted %d", n)
	}
	// Who leaves one may join another.
	c.send("1/n0,", "0")
	if m := c.next(); !strings.HasPrefix(m.text, `0{"sid"`) {
		t.Errorf("got %v", m)
	}
}

// What makes no sense before CONNECT, or while it is being thought about,
// closes the connection.
func TestEventBeforeConnectCloses(t *testing.T) {
	for _, transport := range bothTransports {
		for _, packet := range []string{`2["message"]`, `21["message"]`, `31[]`, "1", `2/other,["message"]`, `4{"message":"x"}`} {
			for _, connecting := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/connecting=%v", transport, packet, connecting), func(t *testing.T) {
					asked := make(chan struct{}, 1)
					s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
						h.OnAuthorize(func(ctx context.Context, _ *Socket) error {
							asked <- struct{}{}
							<-ctx.Done()
							return ctx.Err()
						})
						h.OnConnect(func(*Socket) { t.Error("connected") })
					}))
					s.Of("/other")
					c := s.dial(transport)
					if connecting {
						c.send("0")
						receive(t, "the authorization", asked)
					}
					_ = c.trySend(packet)
					if rest := c.expectEnd(); len(rest) != 0 {
						t.Errorf("got %v", rest)
					}
					s.empty()
				})
			}
		}
	}
}

func TestDuplicateConnectCloses(t *testing.T) {
	for _, transport := range bothTransports {
		for _, packet := range []string{"0", "0{}", "0/admin,"} {
			t.Run(string(transport)+"/"+packet, func(t *testing.T) {
				s := newTestServer(t, Options{})
				s.Of("/admin")
				c, _ := s.connected(transport)
				c.connect("/admin")
				_ = c.trySend(packet)
				c.expectEnd()
				s.empty()
			})
		}
	}
}

// Of two CONNECT packets sent at once the second is a duplicate, also while
// the first is being thought about.
func TestDuplicateConnectWhileConnectingCloses(t *testing.T) {
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		h.OnAuthorize(func(ctx context.Context, _ *Socket) error {
			<-ctx.Done()
			return ctx.Err()
		})
	}))
	for _, transport := range bothTransports {
		c := s.dial(transport)
		_ = c.trySend("0", "0")
		c.expectEnd()
	}
	s.empty()
}

func TestHandshakeDetails(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(t, Options{}, onConnect(sockets))
			c, err := dialClientWith(s, transport, "&token=a%20b&token=c", http.Header{
				"Cookie":     {"session=abc; theme=dark"},
				"x-lower":    {"value"},
				"User-Agent": {"test"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			c.connect("/")
			handshake := receive(t, "a socket", sockets).Handshake()
			if handshake.RemoteAddr != "127.0.0.1" {
				t.Errorf("address %q", handshake.RemoteAddr)
			}
			if got := handshake.Header.Get("x-lower"); got != "value" {
				t.Errorf("header %q", got)
			}
			cookie, err := (&http.Request{Header: handshake.Header}).Cookie("theme")
			if err != nil || cookie.Value != "dark" {
				t.Errorf("cookie %v, %v", cookie, err)
			}
			if got := handshake.Query()["token"]; len(got) != 2 || got[0] != "a b" || got[1] != "c" {
				t.Errorf("query %v", handshake.Query())
			}
			if !strings.HasPrefix(handshake.URL, "/socket.io/?") || handshake.Secure || time.Since(handshake.Time) > time.Minute {
				t.Errorf("handshake %+v", handshake)
			}
		})
	}
}

// Many clients connect at once, and each of them gets its answer.
func TestConnectLosesNoFirstPacket(t *testing.T) {
	s := newTestServer(t, Options{})
	for _, transport := range bothTransports {
		var clients sync.WaitGroup
		for range 16 {
			clients.Go(func() {
				for range 25 {
					c, err := dialClient(s, transport)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := c.tryConnect("/"); err != nil {
						t.Error(err)
					}
					c.close()
				}
			})
		}
		clients.Wait()
	}
	s.empty()
}
