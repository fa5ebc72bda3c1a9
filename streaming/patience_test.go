package streaming

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// TestWhoIsInNoNamespaceHasTimeToConnect holds that a client which has left its last namespace, or
// was put out of it, has as long to connect to another one as it had at first, and is then closed:
// whether it tries, has tried before, or does nothing.
func TestWhoIsInNoNamespaceHasTimeToConnect(t *testing.T) {
	// So long that what a client tries has come by then.
	const short = 2 * time.Second
	type leaver struct {
		s      *testServer
		c      *testClient
		socket *Socket
	}
	ways := map[string]func(l *leaver){
		"it leaves":                func(l *leaver) { l.c.send("1") },
		"it is disconnected":       func(l *leaver) { l.socket.Disconnect(false) },
		"it is kicked":             func(l *leaver) { l.socket.Kick(false) },
		"it has lost its rights":   func(l *leaver) { l.s.auth.revoke(l.socket, errLosesRoom) },
		"its identity ends":        func(l *leaver) { l.s.auth.expire(l.socket.grant.Load()) },
		"the namespace is removed": func(l *leaver) { l.s.Remove("/") },
	}
	ask := func(c *testClient) { c.send(`0/asked,{"name":"ada"}`) }
	for way, leave := range ways {
		for what, try := range map[string]struct {
			before, after func(c *testClient)
			reason        Reason
		}{
			"does nothing":        {func(*testClient) {}, func(*testClient) {}, engineio.ReasonForcedClose},
			"tries another":       {func(*testClient) {}, ask, ReasonAuthUnavailable},
			"has tried it before": {ask, func(*testClient) {}, ReasonAuthUnavailable},
		} {
			t.Run(way+" and "+what, func(t *testing.T) {
				t.Parallel()
				sockets := make(chan *Socket, 1)
				s := newTestServer(t, Options{Engine: engineio.Options{LogConnections: engineio.LogAll}}, authenticate(byName), onConnect(sockets))
				s.auth.judgeRetry = time.Millisecond
				_, err := s.Use("/asked", authenticate(func(context.Context, *Credentials) (*Identity, error) {
					return nil, errors.New("down")
				}))
				if err != nil {
					t.Fatal(err)
				}
				l := &leaver{s: s, c: s.as(`{"name":"ada"}`), socket: receive(t, "a socket", sockets)}
				try.before(l.c)
				l.c.expectAlive()
				// Before this it has all the time that it needs.
				s.connectTimeout.Store(int64(short))
				begun := time.Now()
				leave(l)
				try.after(l.c)
				l.c.expectEnd()
				if took := time.Since(begun); took < short {
					t.Errorf("after %s", took)
				}
				eventually(t, "the line of the end", func() bool { return len(s.logs.all("connection ended")) > 0 })
				if attrs := s.logs.all("connection ended")[0].attrs; attrs["reason"] != string(try.reason) {
					t.Errorf("logged %v", attrs)
				}
			})
		}
	}
}

// TestWhoIsInAnotherNamespaceIsLetBe holds that a client which leaves one of two namespaces need not
// connect to another one.
func TestWhoIsInAnotherNamespaceIsLetBe(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	s.Of("/other")
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	c.connect("/other")
	waits := func() bool {
		socket.client().mu.Lock()
		defer socket.client().mu.Unlock()
		return socket.client().patience != nil
	}
	c.send("1")
	c.expectAlive()
	if waits() {
		t.Error("it is to be closed, though it is in a namespace")
	}
	c.send("1/other,")
	c.expectAlive()
	if !waits() {
		t.Error("it is not to be closed, though it is in no namespace")
	}
	c.connect("/")
	if waits() {
		t.Error("it is to be closed, though it is back in a namespace")
	}
}
