package streaming

import (
	"context"
	"fmt"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// TestClientIsRecovered holds that a client whose connection was cut has its ID, its rooms and what it has
// missed when it is back, in order.
func TestClientIsRecovered(t *testing.T) {
	gone := make(chan Reason, 1)
	back := make(chan *Socket, 1)
	s := newTestServer(t, recovering(), handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(_ *Socket, reason Reason) { gone <- reason })
		h.OnRecover(func(s *Socket) { back <- s })
	}))
	c := s.recoverableClient()
	n, socket := s.Of("/"), s.Find(c.sid)
	_ = socket.Join("room")
	_ = n.Emit("a", 1)
	_ = n.To("room").Emit("b", "text", []int{2})
	_ = socket.Emit("c")
	c.expectEvents(`["a",1]`, `["b","text",[2]]`, `["c"]`)
	s.cut(c)
	if !socket.Connected() || n.Count("room") != 1 || s.Metrics().Recovery.Waiting != 1 {
		t.Errorf("connected %v, %d in the room, %+v", socket.Connected(), n.Count("room"), s.Metrics().Recovery)
	}
	_ = n.Emit("d")
	_ = n.To("other").Emit("not for it")
	_ = n.To("room").Except("other").Emit("e", 5)
	_ = socket.Emit("f", map[string]int{"g": 6})
	_ = socket.Broadcast().Emit("its own")
	_ = n.Everyone().Except("room").Emit("not for it")
	s.back(c, true)
	c.expectEvents(`["d"]`, `["e",5]`, `["f",{"g":6}]`)
	if receive(t, "the socket that is back", back) != socket {
		t.Error("another socket")
	}
	_ = n.To("room").Emit("g")
	c.expectEvents(`["g"]`)
	eventually(t, "it to be counted", func() bool { return s.Metrics().Recovery.Recovered == 1 })
	if m := s.Metrics().Recovery; m.Waiting != 0 || len(gone) != 0 {
		t.Errorf("%+v, %d are gone", m, len(gone))
	}
	c.send("1")
	if reason := receive(t, "the end", gone); reason != ReasonClientDisconnect {
		t.Error(reason)
	}
}

// TestClientThatHasHeardNothing holds that a client is recovered that has no offset yet, or one of an earlier
// session, and a second time.
func TestClientThatHasHeardNothing(t *testing.T) {
	s := newTestServer(t, recovering())
	for _, offset := range []string{"", "AAAAAAAA.1z"} {
		c := &recoverableClient{offset: offset}
		s.comeIn(c, "")
		for i := range 3 {
			s.cut(c)
			if i == 1 {
				_ = s.Of("/").Emit("missed")
			}
			s.back(c, true)
			if i == 1 {
				c.expectEvents(`["missed"]`)
			}
		}
		c.testClient.close()
	}
}

// TestHalfOpenConnectionGivesWay has a client come back before anybody has noticed that it was gone.
func TestHalfOpenConnectionGivesWay(t *testing.T) {
	s := newTestServer(t, recovering())
	c := s.recoverableClient()
	old := c.testClient
	_ = s.Of("/").Emit("a")
	c.expectEvents(`["a"]`)
	_ = s.Of("/").Emit("not heard")
	s.back(c, true)
	c.expectEvents(`["not heard"]`)
	old.expectEnd()
	old.vanish()
	_ = s.Of("/").Emit("b")
	c.expectEvents(`["b"]`)
	if sockets := len(s.Of("/").Everyone().Sockets()); sockets != 1 {
		t.Errorf("%d sockets", sockets)
	}
}

// TestQuestionsAreKept holds that what asks for an answer comes again as long as there is none, and only
// then.
func TestQuestionsAreKept(t *testing.T) {
	s := newTestServer(t, recovering())
	c := s.recoverableClient()
	n, socket := s.Of("/"), s.Find(c.sid)
	answers := make(chan string, 10)
	ask := func(name string) {
		_ = socket.EmitWithAck(name, packet.Args{}, patience, func(args packet.Args, err error) {
			answers <- fmt.Sprint(name, listOf(args), err)
		})
	}
	ask("answered")
	c.expectEvents(`20["answered"]`)
	c.send("30[1]")
	if got := receive(t, "an answer", answers); got != "answered1<nil>" {
		t.Error(got)
	}
	ask("lost")
	c.expectEvents(`21["lost"]`)
	s.cut(c)
	many := make(chan []Reply, 1)
	go func() {
		replies, _ := n.Call(t.Context(), "many", packet.Args{})
		many <- replies
	}()
	eventually(t, "the call to be under way", func() bool {
		socket.mu.Lock()
		defer socket.mu.Unlock()
		return len(socket.acks) == 2
	})
	s.back(c, true)
	c.expectEvents(`21["lost"]`, `22["many"]`)
	c.send("31[]", "32[3]")
	if got := receive(t, "an answer", answers); got != "lost<nil>" {
		t.Error(got)
	}
	if got := receive(t, "the answers of many", many); len(got) != 1 || got[0].Err != nil || listOf(got[0].Args) != "3" {
		t.Errorf("%+v", got)
	}
}

// TestVolatileIsNotKept holds that volatile events are not kept, and that a client does not take what is in
// them for an offset.
func TestVolatileIsNotKept(t *testing.T) {
	s := newTestServer(t, recovering())
	c := s.recoverableClient()
	n, socket := s.Of("/"), s.Find(c.sid)
	volatile := packet.Volatile
	_ = n.Emit("a")
	_ = n.Everyone().EmitArgs("tick", packet.Args{}, volatile)
	_ = n.Everyone().EmitArgs("number", mustArgs(1), volatile)
	_ = socket.EmitArgs("text", mustArgs("text"), volatile)
	c.expectEvents(`["a"]`, `["tick"]`, `2["number",1]`, `["text","text"]`)
	s.cut(c)
	if err := socket.EmitArgs("lost", packet.Args{}, volatile); err != nil {
		t.Error(err)
	}
	_ = n.Everyone().EmitArgs("lost", packet.Args{}, volatile)
	_ = n.Emit("b")
	s.back(c, true)
	c.expectEvents(`["b"]`)
}

// TestWhoWasInARoomWhen holds that a client gets what was for the rooms that it was in when that was sent.
func TestWhoWasInARoomWhen(t *testing.T) {
	s := newTestServer(t, recovering())
	c := s.recoverableClient()
	n, socket := s.Of("/"), s.Find(c.sid)
	_ = n.Emit("begin")
	c.expectEvents(`["begin"]`)
	old := c.testClient
	_ = n.To("room").Emit("before")
	socket.Admit("room")
	_ = n.To("room").Emit("in")
	_ = n.Everyone().Except("room").Emit("all but those in")
	socket.Leave("room")
	_ = n.To("room").Emit("after")
	_ = n.To(socket.ID()).Emit("alone")
	_ = n.To(socket.ID(), "room", "other").Emit("once")
	s.back(c, true)
	c.expectEvents(`["in"]`, `["alone"]`, `["once"]`)
	old.vanish()
	_ = n.Emit("end")
	c.expectEvents(`["end"]`)
}

// TestWhatIsNotRecovered holds that a client begins anew, and that this is counted, where it cannot be told
// that it has missed nothing.
func TestWhatIsNotRecovered(t *testing.T) {
	gone := make(chan string, 100)
	s := newTestServer(t, recovering(), handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(s *Socket, _ Reason) { gone <- s.ID() })
	}))
	n := s.Of("/")
	for reason, spoil := range map[recovery.Reason]func(c *recoverableClient){
		recovery.UnknownPID: func(c *recoverableClient) { s.Find(c.sid).Disconnect(false) },
		recovery.ForgedPID:  func(c *recoverableClient) { c.pid = c.pid[:len(c.pid)-1] + "!" },
		recovery.BadOffset:  func(c *recoverableClient) { c.offset = "nonsense" },
		recovery.NotKept: func(*recoverableClient) {
			o := recovering()
			o.Recovery.MaxBytes = 5000
			s.SetOptions(o)
			for range 20 {
				_ = n.Emit("more", make([]int, 100))
			}
			s.SetOptions(recovering())
		},
		recovery.TooMuch: func(*recoverableClient) {
			for range 5 {
				_ = n.Emit("much", string(make([]byte, 400_000)))
			}
		},
	} {
		t.Run(reason.String(), func(t *testing.T) {
			c := s.recoverableClient()
			_ = n.Emit("begin")
			c.expectEvents(`["begin"]`)
			s.cut(c)
			id, pid := c.sid, c.pid
			_ = n.Emit("missed")
			spoil(c)
			s.back(c, false)
			s.expectFailed(reason, 1)
			if reason == recovery.ForgedPID {
				// Whoever that was: the client is not to blame for it.
				c.testClient.close()
				c.sid, c.pid = id, pid
				s.back(c, true)
			} else if got := receive(t, "the end of the socket", gone); got != id {
				t.Errorf("%s is gone, want %s", got, id)
			}
		})
	}
	for _, offset := range []string{"AAAAAAAA.1", "AAAAAAAA.zzzzz", s.Of("/").rooms.log.Load().Head() + "0"} {
		c := s.recoverableClient()
		_ = n.Emit("begin")
		c.event()
		s.cut(c)
		c.offset = offset
		s.back(c, false)
		c.testClient.close()
	}
}

// TestEndsThatAreNoCuts holds that a socket is gone at once whose client or server has disconnected it.
func TestEndsThatAreNoCuts(t *testing.T) {
	gone := make(chan Reason, 10)
	s := newTestServer(t, recovering(), handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(_ *Socket, reason Reason) { gone <- reason })
	}))
	for want, end := range map[Reason]func(c *recoverableClient){
		ReasonClientDisconnect:    func(c *recoverableClient) { c.send("1") },
		ReasonServerDisconnect:    func(c *recoverableClient) { s.Find(c.sid).Disconnect(true) },
		engineio.ReasonParseError: func(c *recoverableClient) { c.send("9") },
	} {
		c := s.recoverableClient()
		end(c)
		if reason := receive(t, "the end", gone); reason != want {
			t.Errorf("%s, want %s", reason, want)
		}
	}
	// A socket that waits can be disconnected as well.
	for _, end := range []func(*Socket){
		func(s *Socket) { s.Disconnect(true) }, func(s *Socket) { s.Drop() },
	} {
		c := s.recoverableClient()
		socket := s.Find(c.sid)
		s.cut(c)
		end(socket)
		receive(t, "the end", gone)
		if socket.Connected() || s.Metrics().Recovery.Waiting != 0 {
			t.Error("it waits on")
		}
		s.back(c, false)
	}
}

// TestRecoveryIsTurnedOff holds that nothing waits any more, and that nobody is told a pid.
func TestRecoveryIsTurnedOff(t *testing.T) {
	gone := make(chan Reason, 1)
	s := newTestServer(t, recovering(), handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(_ *Socket, reason Reason) { gone <- reason })
	}))
	stays, c := s.recoverableClient(), s.recoverableClient()
	s.cut(c)
	s.SetOptions(Options{})
	receive(t, "the end", gone)
	_ = s.Of("/").Emit("plain", 1)
	stays.expect(`2["plain",1]`)
	s.back(c, false)
	if c.pid != "" {
		t.Error(c.pid)
	}
	s.SetOptions(recovering())
	_ = s.Of("/").Emit("on again")
	c.expectEvents(`["on again"]`)
	stays.vanish()
	receive(t, "the end", gone)
}

// TestWithoutRecovery holds that a server without it says nothing of it.
func TestWithoutRecovery(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(engineio.WebSocket)
	c.send(`0{"pid":"x","offset":"y"}`)
	m := c.next()
	_ = s.Of("/").Emit("a")
	c.expect(`2["a"]`)
	if len(m.text) != len(`0{"sid":""}`)+socketIDLength {
		t.Error(m)
	}
}

// TestWhoComesBackIsAskedAgain holds that a client shows who it is when it comes back, and that it is not
// recovered as somebody else, nor with a room that it may no longer join; nor is it sent what it may not hear.
func TestWhoComesBackIsAskedAgain(t *testing.T) {
	s := newTestServer(t, recovering(), authenticate(byName))
	n := s.Of("/")
	come := func(c *recoverableClient, more string, recovered bool) {
		t.Helper()
		s.comeIn(c, more)
		if c.recovered != recovered {
			t.Fatalf("recovered %v, %+v", c.recovered, s.Metrics().Recovery)
		}
	}
	const all, red = `"name":"ada","rooms":["red","blue"]`, `"name":"ada","rooms":["red"]`
	c := new(recoverableClient)
	come(c, all, false)
	_ = s.Find(c.sid).Join("red")
	s.cut(c)
	_ = n.Everyone().MayJoin("blue").Emit("blue")
	_ = n.Everyone().MayJoin("red").Emit("red")
	come(c, red, true)
	c.expectEvents(`["red"]`)
	if socket := s.Find(c.sid); socket.MayJoin("blue") || socket.identityID() != "ada" {
		t.Errorf("%+v", socket.Identity())
	}
	eventually(t, "the client to be identified once", func() bool { return s.Metrics().Auth.Identified == 1 })
	id := c.sid
	s.cut(c)
	come(c, `"name":"bob"`, false)
	s.expectFailed(recovery.OtherIdentity, 1)
	if s.Find(id) == nil {
		t.Error("somebody else has ended it")
	}
	c.testClient.close()
	c = new(recoverableClient)
	come(c, all, false)
	_ = s.Find(c.sid).Join("blue")
	s.cut(c)
	id = c.sid
	come(c, red, false)
	s.expectFailed(recovery.LostRight, 1)
	eventually(t, "the old socket to end", func() bool { return s.Find(id) == nil })
	c.testClient.close()
	c.testClient, _ = dialClient(s, engineio.WebSocket)
	c.send("0" + c.payload(""))
	if m := c.next(); m.text[0] != '4' {
		t.Errorf("got %v", m)
	}
	c.testClient.close()
}

// TestWhoComesBackShowsTheSame holds that an authenticator is asked the same when a client comes back as when it came,
// and that a server without recovery leaves what the client shows alone.
func TestWhoComesBackShowsTheSame(t *testing.T) {
	for name, options := range map[string]Options{"recovery": recovering(), "no recovery": {}} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 4)
			s := newTestServer(t, options, authenticate(func(_ context.Context, c *Credentials) (*Identity, error) {
				asked <- string(c.Auth.JSON())
				return &Identity{ID: "ada"}, nil
			}))
			c := new(recoverableClient)
			s.comeIn(c, `"name":"ada"`)
			if got := <-asked; got != `{"name":"ada"}` {
				t.Fatal(got)
			}
			if name == "recovery" {
				s.cut(c)
				s.comeIn(c, `"name":"ada"`)
				if got := <-asked; got != `{"name":"ada"}` || !c.recovered {
					t.Errorf("%s, recovered %v", got, c.recovered)
				}
			}
			c.testClient.close()
			c.testClient, _ = dialClient(s, engineio.WebSocket)
			c.send(`0{"pid":7,"offset":"x","name":"ada"}`)
			want := `{"pid":7,"offset":"x","name":"ada"}`
			if name == "recovery" {
				want = `{"name":"ada"}`
			}
			if got := <-asked; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			c.testClient.close()
		})
	}
}

// TestComingBackWhileTheSocketIsEnded has a client come back to a socket that somebody is about to end, who
// has told its old connection of that: the client does not go on with a socket that is no more.
func TestComingBackWhileTheSocketIsEnded(t *testing.T) {
	s := newTestServer(t, recovering())
	c := s.recoverableClient()
	socket := s.Find(c.sid)
	s.cut(c)
	old := socket.client()
	old.comeAgain(ReasonAuthExpired)
	s.back(c, true)
	// The second half of what comeAgain does.
	socket.close(ReasonAuthExpired)
	c.expectEnd()
	c.testClient.close()
	s.back(c, false)
	_ = s.Of("/").Emit("a")
	c.expectEvents(`["a"]`)
}
