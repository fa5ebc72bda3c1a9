package streaming

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// rarely is a rate of so many events and then none for long.
func rarely(burst int64) *engineio.Rate {
	return &engineio.Rate{Amount: 1, Per: time.Hour, Burst: burst}
}

// echo answers every "echo" with the number of those it has seen.
func echo() EventSet {
	return on("echo", func(e *Event) { e.Ack.Reply(e.Args) })
}

// TestEventsOverTheLimitAreRefused holds that each event gets its answer, and
// that a row of refusals is told once.
func TestEventsOverTheLimitAreRefused(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{Limits: Limits{Events: rarely(4)}}, echo())
			c, _ := s.connected(transport) // the first of four
			for i := range 3 {
				c.send(fmt.Sprintf(`2%d["echo"]`, i))
				c.expect(fmt.Sprintf(`3%d[]`, i))
			}
			c.send(`27["echo"]`)
			c.expect(`37[{"success":false,"error":"too many events","code":"rate_limited"}]`)
			c.expect(`2["error",{"message":"too many events","code":"rate_limited"}]`)
			c.send(`2["echo"]`, `28["echo"]`)
			c.expect(`38[{"success":false,"error":"too many events","code":"rate_limited"}]`)
			if n := s.met(LimitEvents); n != 3 {
				t.Errorf("counted %d", n)
			}
		})
	}
}

// TestClientThatGoesOnOverTheLimitIsDisconnected holds that the namespace is
// told, so that the client does not come back by itself, and that the session
// ends with a reason of its own.
func TestClientThatGoesOnOverTheLimitIsDisconnected(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			gone := make(chan Reason, 1)
			s := newTestServer(t, Options{Limits: Limits{Events: rarely(5)}}, echo(), handlers(func(_ *Namespace, h *Handlers) {
				h.OnDisconnect(func(_ *Socket, reason Reason) { gone <- reason })
			}))
			c, _ := s.connected(transport)
			for range 4 + 5 + 1 {
				if c.trySend(`2["echo"]`) != nil {
					break
				}
			}
			rest := c.expectEnd()
			if len(rest) != 2 || rest[0].text != `2["error",{"message":"too many events","code":"rate_limited"}]` || rest[1].text != "1" {
				t.Errorf("got %v", rest)
			}
			if reason := receive(t, "the end", gone); reason != ReasonServerDisconnect {
				t.Errorf("reason %q", reason)
			}
			s.empty()
			eventually(t, "the line of the end", func() bool {
				lines := s.logs.all("connection ended")
				return len(lines) == 1 && lines[0].attrs["reason"] == string(ReasonRateLimit) && lines[0].attrs["limit"] == string(LimitEvents)
			})
		})
	}
}

// TestConnectsCountAsEvents holds that connecting and disconnecting in turn is
// bounded as well.
func TestConnectsCountAsEvents(t *testing.T) {
	s := newTestServer(t, Options{Limits: Limits{Events: rarely(3)}})
	c := s.dial(engineio.WebSocket)
	for range 3 {
		c.connect("/")
		c.send("1")
	}
	c.send("0")
	c.expect(`4{"message":"too many events","data":{"code":"rate_limited"}}`)
	c.send("0/nowhere,")
	c.expect(`4/nowhere,{"message":"too many events","data":{"code":"rate_limited"}}`)
}

func TestEventsOfExemptAddressesAreNotLimited(t *testing.T) {
	exempt := engineio.Limits{Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	s := newTestServer(t, Options{Engine: engineio.Options{Limits: exempt}, Limits: Limits{Events: rarely(1)}}, echo())
	c, _ := s.connected(engineio.WebSocket)
	for i := range 50 {
		c.send(fmt.Sprintf(`2%d["echo"]`, i))
		c.expect(fmt.Sprintf(`3%d[]`, i))
	}
}

func TestNewLimitsHoldAtOnce(t *testing.T) {
	s := newTestServer(t, Options{}, echo())
	c, _ := s.connected(engineio.WebSocket)
	for range 20 {
		c.send(`20["echo"]`)
		c.expect("30[]")
	}
	s.SetOptions(Options{Limits: Limits{Events: rarely(1)}})
	c.send(`21["echo"]`, `22["echo"]`)
	c.expect(`31[]`)
	c.expect(`32[{"success":false,"error":"too many events","code":"rate_limited"}]`)
}

func TestRoomsOfASocketAreBounded(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{Limits: Limits{Rooms: 3}}, onConnect(sockets))
	_, id := s.connected(engineio.WebSocket)
	socket := receive(t, "the socket", sockets)
	join := func(want error, rooms ...string) {
		t.Helper()
		if err := socket.Join(rooms...); !errors.Is(err, want) {
			t.Errorf("joining %v: %v", rooms, err)
		}
	}
	join(nil, "a", "b")
	join(ErrTooManyRooms, "c", "d")
	join(nil, "a", "b", "a", id)
	join(nil, "c", "c")
	join(ErrTooManyRooms, "d")
	join(nil, "a")
	if rooms := socket.Rooms(); len(rooms) != 3 {
		t.Errorf("in %v", rooms)
	}
	socket.Leave("a")
	join(nil, "d")
	if n := s.met(LimitRooms); n != 2 {
		t.Errorf("counted %d", n)
	}
	// What the server chooses is not the client's to answer for.
	s.Of("/").Everyone().Join("e", "f")
	if rooms := socket.Rooms(); len(rooms) != 5 {
		t.Errorf("in %v", rooms)
	}
	join(nil, "e")
	join(ErrTooManyRooms, "g")
}

func TestPendingAcksAreBounded(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{Limits: Limits{PendingAcks: 2}}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "the socket", sockets)
	answers := make(chan error, 2)
	for range 2 {
		if err := socket.EmitWithAck("ask", packet.Args{}, time.Hour, func(_ packet.Args, err error) { answers <- err }); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := socket.EmitWithAck("ask", packet.Args{}, time.Hour, nil); !errors.Is(err, ErrTooManyAcks) {
		t.Error(err)
	}
	if _, err := socket.Call(ctx, "ask", packet.Args{}); !errors.Is(err, ErrTooManyAcks) {
		t.Error(err)
	}
	replies, err := s.Of("/").Everyone().Call(ctx, "ask", packet.Args{})
	if err != nil || len(replies) != 1 || !errors.Is(replies[0].Err, ErrTooManyAcks) {
		t.Errorf("%v, %v", replies, err)
	}
	if n := s.met(LimitPendingAcks); n != 3 {
		t.Errorf("counted %d", n)
	}
	c.expect(`20["ask"]`, `21["ask"]`)
	c.send("30[]")
	if err := receive(t, "an answer", answers); err != nil {
		t.Error(err)
	}
	if err := socket.EmitWithAck("ask", packet.Args{}, time.Hour, func(_ packet.Args, err error) { answers <- err }); err != nil {
		t.Error(err)
	}
}

func TestAttachmentsAreBounded(t *testing.T) {
	for _, limit := range []int{0, 1, 20, 1000} {
		most := limit
		switch limit {
		case 0:
			most = DefaultAttachments
		case 1000:
			most = MaxAttachments
		}
		s := newTestServer(t, Options{Limits: Limits{Attachments: limit}}, echo())
		packet := func(n int) string {
			places := make([]string, n)
			for i := range places {
				places[i] = fmt.Sprintf(`{"_placeholder":true,"num":%d}`, i)
			}
			return fmt.Sprintf(`5%d-1["echo",%s]`, n, strings.Join(places, ","))
		}
		c, _ := s.connected(engineio.WebSocket)
		c.send(packet(most))
		for range most {
			c.send([]byte("x"))
		}
		c.next()
		for range most {
			c.expect([]byte("x"))
		}
		c.send(packet(most + 1))
		c.expectEnd()
		if n := s.met(LimitAttachments); n != 1 {
			t.Errorf("limit %d: counted %d", limit, n)
		}
	}
}

// TestAttachmentsThatDoNotComeEndTheSession holds that a client that answers
// every heartbeat cannot keep a packet waiting.
func TestAttachmentsThatDoNotComeEndTheSession(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{Engine: engineio.Options{PingInterval: 10 * time.Millisecond}}, echo())
			c, _ := s.connected(transport)
			c.send(`52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, []byte("one"))
			c.expectEnd()
			s.empty()
			eventually(t, "the line of the end", func() bool {
				lines := s.logs.all("connection ended")
				return len(lines) == 1 && lines[0].attrs["reason"] == string(ReasonIncomplete)
			})
		})
	}
}

// TestAttachmentsThatComeSlowlyAreWaitedFor sends one for each heartbeat. The
// test gives the beat: how fast a machine is makes no difference.
func TestAttachmentsThatComeSlowlyAreWaitedFor(t *testing.T) {
	s := newTestServer(t, Options{Engine: engineio.Options{PingInterval: time.Hour}}, echo())
	c, id := s.connected(engineio.WebSocket)
	client := s.Find(id).client
	c.send(`54-1["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2},{"_placeholder":true,"num":3}]`)
	for before := uint32(0); before < 4; before++ {
		eventually(t, "what was sent to be seen", func() bool { return client.waiting.Load() == before+1 })
		client.Beat()
		c.send([]byte("x"))
	}
	if m := c.next(); !strings.HasPrefix(m.text, "64-1[") {
		t.Errorf("got %v", m)
	}
}

// TestNothingIsKeptOfWhoHasNotConnected holds that attachments are not gathered
// for a namespace the client is not in.
func TestNothingIsKeptOfWhoHasNotConnected(t *testing.T) {
	for _, transport := range bothTransports {
		for _, packet := range []string{`51-["x",{"_placeholder":true,"num":0}]`, `61-/,1[{"_placeholder":true,"num":0}]`, `51-/nowhere,["x",{"_placeholder":true,"num":0}]`} {
			s := newTestServer(t, Options{})
			c := s.dial(transport)
			c.send(packet)
			c.expectEnd()
			s.empty()
		}
	}
}

func TestAuthPayloadIsBounded(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(engineio.WebSocket)
	c.send(`0{"token":"` + strings.Repeat("x", maxAuthPayload) + `"}`)
	c.expect(`4{"message":"auth payload too large","data":{"code":"auth_too_large"}}`)
	c.send(`0{"token":"` + strings.Repeat("x", maxAuthPayload-20) + `"}`)
	if m := c.next(); !strings.HasPrefix(m.text, `0{"sid"`) {
		t.Errorf("got %v", m)
	}
	if n := s.met(LimitAuth); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// TestAuthPayloadKeepsNothingElse holds that what a client shows does not hold
// on to the request that it came in.
func TestAuthPayloadKeepsNothingElse(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	c := s.dial(engineio.Polling)
	c.send(`0{"a":1}`, `0/nowhere,{"b":"`+strings.Repeat("x", 500_000)+`"}`)
	socket := receive(t, "the socket", sockets)
	if auth := socket.Auth(); string(auth) != `{"a":1}` || cap(auth) > 64 {
		t.Errorf("%d bytes are kept for %s", cap(auth), auth)
	}
}

// TestClientsWithoutNamespaceAreHalfOpen holds that the limit of half-open
// sessions counts those that have not connected to a namespace.
func TestClientsWithoutNamespaceAreHalfOpen(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{Engine: engineio.Options{Limits: engineio.Limits{HalfOpen: 1}}})
			first := s.dial(transport)
			if c, err := dialClient(s, transport); err == nil {
				c.vanish()
			}
			if n := s.met(engineio.LimitHalfOpen); n != 1 {
				t.Errorf("counted %d", n)
			}
			first.connect("/")
			s.dial(transport)
		})
	}
}

func TestLimitsHaveAClosedSetOfNames(t *testing.T) {
	s := newTestServer(t, Options{})
	want := []engineio.Limit{
		engineio.LimitConnections, engineio.LimitHalfOpen, engineio.LimitHandshakes, engineio.LimitBytes,
		LimitEvents, LimitRooms, LimitNamespaces, LimitPendingAcks, LimitAttachments, LimitAuth, LimitAuthAttempts,
	}
	got := make(map[engineio.Limit]int64)
	for _, limit := range s.Metrics().Limited {
		got[engineio.Limit(limit.Reason)] = limit.Count
	}
	for _, name := range want {
		if n, ok := got[name]; !ok || n != 0 {
			t.Errorf("%s: %d, %t", name, n, ok)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
}
