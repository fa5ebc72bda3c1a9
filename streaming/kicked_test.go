package streaming

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// TestKickedWhileAway holds that a client whose socket is kicked while it waits hears of it when it comes back,
// once, and that nobody else does.
func TestKickedWhileAway(t *testing.T) {
	gone := make(chan Reason, 10)
	s := newTestServer(t, recovering(), handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(_ *Socket, reason Reason) { gone <- reason })
	}))
	for _, closes := range []bool{true, false} {
		c := s.recoverableClient()
		socket := s.Find(c.sid)
		s.cut(c)
		socket.Kick(closes)
		if reason := receive(t, "the end", gone); reason != ReasonServerDisconnect || socket.Connected() {
			t.Errorf("%s, connected %v", reason, socket.Connected())
		}
		forger, _ := dialClient(s, engineio.WebSocket)
		forger.send(`0{"pid":"` + c.pid[:len(c.pid)-1] + `"}`)
		if m := forger.next(); !strings.HasPrefix(m.text, `0{"sid"`) {
			t.Error(m)
		}
		forger.send("1")
		receive(t, "the end of another one", gone)
		forger.close()
		c.testClient, _ = dialClient(s, engineio.WebSocket)
		c.send("0" + c.payload(""))
		c.expect(`4{"message":"disconnected by an operator","data":{"code":"kicked"}}`)
		c.testClient.close()
		s.back(c, false)
		c.testClient.close()
	}
}

// TestKickedIsBounded holds that no more than so many kicks are kept, the newest ones, for as long as their clients
// have to come back.
func TestKickedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k kicked
		for i := range 2 * mostKicked {
			k.add(fmt.Sprint(i), time.Now().Add(time.Minute+time.Duration(i)*time.Millisecond))
		}
		for i, want := range map[int]bool{0: false, mostKicked - 1: false, mostKicked: true, 2*mostKicked - 1: true} {
			if k.take(fmt.Sprint(i)) != want || k.take(fmt.Sprint(i)) {
				t.Errorf("%d: not %v, or more than once", i, want)
			}
		}
		time.Sleep(2 * time.Minute)
		if k.take(fmt.Sprint(mostKicked + 1)) {
			t.Error("it is known after its time")
		}
		for i := range mostKicked {
			k.add(fmt.Sprint(i), time.Now().Add(time.Minute))
		}
		if len(k.until) > mostKicked {
			t.Errorf("%d are kept", len(k.until))
		}
	})
}

// forgetful lets everybody in by name, and notes whom it is to forget.
type forgetful struct{ forgotten chan string }

func (f forgetful) Authenticate(ctx context.Context, c *Credentials) (*Identity, error) {
	return byName(ctx, c)
}

func (f forgetful) Forget(identity string) { f.forgotten <- identity }

// TestKickIsForgotten holds that an authenticator is told of who is kicked, and of nobody whom a handler disconnects.
func TestKickIsForgotten(t *testing.T) {
	a := forgetful{make(chan string, 10)}
	s := newTestServer(t, recovering(), handlers(func(_ *Namespace, h *Handlers) { _ = h.Authenticate(a) }))
	c, other := new(recoverableClient), new(recoverableClient)
	s.comeIn(c, `"name":"ada"`)
	s.comeIn(other, `"name":"bob"`)
	s.Find(other.sid).Disconnect(false)
	if n := KickIdentity([]*Namespace{s.Of("/")}, "ada", false); n != 1 {
		t.Errorf("%d are kicked", n)
	}
	if n := KickIdentity([]*Namespace{s.Of("/")}, "eve", false); n != 0 {
		t.Errorf("%d are kicked who are not there", n)
	}
	var got []string
	for len(a.forgotten) > 0 {
		got = append(got, <-a.forgotten)
	}
	if got = slices.Compact(got); !slices.Equal(got, []string{"ada", "eve"}) {
		t.Errorf("%q are forgotten", got)
	}
	if lines := s.logs.all("client kicked"); len(lines) != 1 || lines[0].attrs["identity"] != "ada" || lines[0].attrs["namespace"] != "/" {
		t.Errorf("%+v", lines)
	}
	c.testClient.close()
	other.testClient.close()
}

// TestKickOfARestoredSocket holds that a client hears of a kick that has met its socket after a restart, before
// it was back, and that a reload in between changes nothing.
func TestKickOfARestoredSocket(t *testing.T) {
	first := newTestServer(t, outliving(), restorable)
	c := first.recoverableClient()
	first.cut(c)
	second := successor(t, first.leave(), 1, restorable)
	second.Find(c.sid).Kick(true)
	if n := second.Metrics().Recovery.Waiting; n != 0 {
		t.Errorf("%d wait", n)
	}
	second.SetOptions(outliving())
	if err := second.Of("/").Use(restorable); err != nil {
		t.Fatal(err)
	}
	c.testClient, _ = dialClient(second, engineio.WebSocket)
	c.send("0" + c.payload(""))
	c.expect(`4{"message":"disconnected by an operator","data":{"code":"kicked"}}`)
	c.testClient.close()
	if lines := second.logs.all("client kicked"); len(lines) != 1 || lines[0].attrs["connection"] == "" {
		t.Errorf("%+v", lines)
	}
}
