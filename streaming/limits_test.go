package streaming

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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

// TestBurstsOfHonestClients holds that whatever a client has to say at once, such as
// after it was offline, is heard: all of it, in order, and the client stays.
func TestBurstsOfHonestClients(t *testing.T) {
	const events = 6000
	rate := &engineio.Rate{Amount: 2000, Per: time.Second, Burst: 500}
	for _, test := range []struct {
		name string
		// packet is the packet of an event, and answer what the client gets for it.
		packet, answer func(i int) string
	}{
		{"without acknowledgements",
			func(i int) string { return fmt.Sprintf(`2["message",%d]`, i) },
			func(i int) string { return fmt.Sprintf(`2["message",%d]`, i) }},
		{"with acknowledgements",
			func(i int) string { return fmt.Sprintf(`2%d["echo",%d]`, i, i) },
			func(i int) string { return fmt.Sprintf(`3%d[%d]`, i, i) }},
		{"in two namespaces",
			func(i int) string { return fmt.Sprintf(`2%s%d["echo",%d]`, []string{"", "/chat,"}[i%2], i, i) },
			func(i int) string { return fmt.Sprintf(`3%s%d[%d]`, []string{"", "/chat,"}[i%2], i, i) }},
	} {
		for _, transport := range bothTransports {
			t.Run(test.name+"/"+string(transport), func(t *testing.T) {
				t.Parallel()
				_, c, _ := serveChat(t, transport, Options{Limits: Limits{Events: rate}}, on("message", func(e *Event) {
					_ = e.Socket.EmitArgs("message", e.Args)
				}))
				packets := make([]any, events)
				for i := range packets {
					packets[i] = test.packet(i)
				}
				begun := time.Now()
				go func() { _ = c.trySend(packets...) }()
				var next [2]int
				for i := range events {
					// Each namespace has an order of its own.
					got := c.next().text
					if test.name == "in two namespaces" {
						half := 0
						if strings.HasPrefix(got, "3/chat,") {
							half = 1
						}
						i = 2*next[half] + half
						next[half]++
					}
					if want := test.answer(i); got != want {
						t.Fatalf("got %s, want %s", got, want)
					}
				}
				// However fast the machine is. An eighth of the burst may have been taken in advance, and what
				// is owed in the end is not worth a pause.
				const least = time.Second*(events-500-500/8)/2000 - leastPause
				if took := time.Since(begun); took < least {
					t.Errorf("all were answered within %s, and not %s", took, least)
				}
				c.expectChat()
				c.expectAlive()
			})
		}
	}
}

// TestClientThatNeverLetsUpIsDisconnected holds that the client is told, and its
// namespaces too, so that it does not come back by itself, and that the session ends
// with a reason of its own.
func TestClientThatNeverLetsUpIsDisconnected(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			gone := make(chan Reason, 1)
			s := newTestServer(t, Options{Limits: Limits{Events: &engineio.Rate{Amount: 100, Per: time.Second, Burst: 10}}}, echo(),
				handlers(func(_ *Namespace, h *Handlers) {
					h.OnDisconnect(func(_ *Socket, reason Reason) { gone <- reason })
				}))
			s.talkPatience = 500 * time.Millisecond
			c, _ := s.connected(transport)
			flood := make([]any, 50)
			for i := range flood {
				flood[i] = `21["echo"]`
			}
			go func() {
				for c.trySend(flood...) == nil {
				}
			}()
			// The last events that the client was allowed may still be handled while the one
			// after them is refused: their answers may come between what tells of the end.
			answered := 0
			var rest []message
			for _, m := range c.expectEnd() {
				if m.text == "31[]" {
					answered++
				} else {
					rest = append(rest, m)
				}
			}
			if len(rest) != 3 || rest[0].text != `31[{"success":false,"error":"too many events","code":"rate_limited"}]` ||
				rest[1].text != `2["error",{"message":"too many events","code":"rate_limited"}]` || rest[2].text != "1" {
				t.Errorf("got %v", rest)
			}
			// The patience of half a second is worth some 50 events.
			if answered < 20 || answered > 500 {
				t.Errorf("%d events were handled", answered)
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

// TestPatienceBeginsAnewAfterABreak holds that only those are disconnected who send
// too much for long, without a break.
func TestPatienceBeginsAnewAfterABreak(t *testing.T) {
	rate := (&engineio.Rate{Amount: 100, Per: time.Second, Burst: 10}).WithDefaults()
	var client talk
	now := int64(time.Hour)
	// flood sends twice what is allowed for so long, and reports whether that is too
	// long.
	flood := func(length time.Duration) (ok bool) {
		for until := now + int64(length); now < until; now += int64(time.Second) / 200 {
			if client.bucket.Spend(1) {
				continue
			}
			wait, ok := client.owes(rate, now, talkPatience)
			if !ok {
				return false
			}
			now += int64(wait)
		}
		return true
	}
	for range 3 {
		if !flood(talkPatience - time.Second) {
			t.Fatal("it was disconnected too early")
		}
		now += int64(talkBreak) + int64(100*time.Millisecond)
	}
	if flood(talkPatience + time.Second) {
		t.Error("it never lets up and is not disconnected")
	}
}

// TestConnectsCountAsEvents holds that connecting and disconnecting in turn is
// bounded as well.
func TestConnectsCountAsEvents(t *testing.T) {
	const rounds = 10
	rate := &engineio.Rate{Amount: 20, Per: time.Second, Burst: 3}
	s := newTestServer(t, Options{Limits: Limits{Events: rate}})
	c := s.dial(engineio.WebSocket)
	begun := time.Now()
	for range rounds {
		c.connect("/")
		c.send("1")
	}
	c.send("0/nowhere,")
	c.expect(`4/nowhere,{"message":"Invalid namespace"}`)
	// Of eleven events three come at once.
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("took %s", took)
	}
}

// TestConnectsOverTheLimitAreRefusedInTheEnd holds that CONNECT is answered, too, when
// the server has no more patience.
func TestConnectsOverTheLimitAreRefusedInTheEnd(t *testing.T) {
	s := newTestServer(t, Options{Limits: Limits{Events: rarely(1)}})
	s.talkPatience = -1
	c := s.dial(engineio.WebSocket)
	c.send("0/nowhere,")
	c.expect(`4/nowhere,{"message":"Invalid namespace"}`)
	_ = c.trySend("0")
	c.expect(`4{"message":"too many events","data":{"code":"rate_limited"}}`)
	c.expectEnd()
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
	s.talkPatience = -1
	s.SetOptions(Options{Limits: Limits{Events: rarely(1)}})
	c.send(`21["echo"]`, `22["echo"]`)
	c.expect(`31[]`)
	c.expect(`32[{"success":false,"error":"too many events","code":"rate_limited"}]`)
	c.expectEnd()
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
	client := s.Find(id).client()
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

// TestRoomsOfAllSocketsAreBounded has one client join all the rooms it can, more than there is memory for:
// others may be in some, and when it is gone all that it has taken is free.
func TestRoomsOfAllSocketsAreBounded(t *testing.T) {
	s := newTestServer(t, Options{Engine: engineio.Options{ServerBuffer: 400_000}, Limits: Limits{Rooms: 10_000}})
	rooms := &s.Of("/").rooms.bytes
	c, hostile := s.connected(engineio.WebSocket)
	_, honest := s.connected(engineio.WebSocket)
	joins := func(id, prefix string) (joined int) {
		for ; joined < 10_000 && s.Find(id).Join(fmt.Sprint(prefix, joined)) == nil; joined++ {
		}
		return joined
	}
	if joined := joins(hostile, "hostile"); joined < 200 || joined > 400 {
		t.Errorf("one client is in %d rooms, which take %d bytes", joined, rooms.Load())
	}
	if joined := joins(honest, "honest"); joined != modestRooms {
		t.Errorf("another one is in %d rooms", joined)
	}
	if got := s.Metrics().Limited; !slices.Contains(got, engineio.ReasonCount{Reason: string(LimitRooms), Count: 2}) {
		t.Errorf("%+v", got)
	}
	c.close()
	eventually(t, "the rooms to be free", func() bool { return rooms.Load() < 20_000 })
	if s.Find(honest).Join("one more") != nil {
		t.Error("there is no room for one more")
	}
	s.Find(honest).Disconnect(true)
	eventually(t, "nothing to be left", func() bool { return rooms.Load() == 0 })
}
