package streaming

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// plainly is a policy unlike that of others: the code alone, as the
// acknowledgement or as an event.
func plainly(e *Event, refusal *EventError) {
	if e.Ack.Wanted() {
		_ = e.Ack.ReplyWith(refusal.Code)
	} else if !refusal.Quiet {
		_ = e.Socket.Emit("refused", refusal.Code, e.Name)
	}
}

// withPolicy makes an event set that has a policy of its own.
func withPolicy(t testing.TB, policy RefusalPolicy, more ...func(h *Handlers)) EventSet {
	return handlers(func(_ *Namespace, h *Handlers) {
		if err := h.RefuseWith(policy); err != nil {
			t.Error(err)
		}
		for _, register := range more {
			register(h)
		}
	})
}

// onIn registers a handler, which must succeed.
func onIn(t testing.TB, event string, handler func(*Event)) func(h *Handlers) {
	return func(h *Handlers) {
		if err := h.On(event, handler); err != nil {
			t.Error(err)
		}
	}
}

// A policy holds for the events of its set, whoever refuses them, and for no
// other set's.
func TestRefusalPolicyIsThatOfTheEventSet(t *testing.T) {
	refusing := func(e *Event) { e.Refuse("no", "not now") }
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{}, on("theirs", refusing), withPolicy(t, plainly,
				onIn(t, "ours", refusing), onIn(t, "panic", func(*Event) { panic("deliberate") })))
			c, _ := s.connected(transport)
			c.send(`2["ours"]`, `21["ours"]`)
			c.expect(`2["refused","no","ours"]`, `31["no"]`)
			c.send(`2["theirs"]`, `22["theirs"]`)
			c.expect(`2["error",{"message":"not now","code":"no"}]`,
				`32[{"success":false,"error":"not now","code":"no"}]`, `2["error",{"message":"not now","code":"no"}]`)
			c.send(`23["panic"]`)
			c.expect(`33["internal_error"]`)
			// It is the only set with a policy, so that it is its clients who are there.
			c.send(`2["connect"]`)
			c.expect(`2["refused","reserved_event","connect"]`)
			c.expectAlive()
		})
	}
}

func TestRefusalPolicyHoldsForWhatTheServerRefuses(t *testing.T) {
	t.Run("rate", func(t *testing.T) {
		for packet, answers := range map[string][]any{
			`2["ours"]`:    {`2["refused","rate_limited","ours"]`},
			`27["ours"]`:   {`37["rate_limited"]`},
			`28["theirs"]`: {`38[{"success":false,"error":"too many events","code":"rate_limited"}]`, `2["error",{"message":"too many events","code":"rate_limited"}]`},
		} {
			s := newTestServer(t, Options{Limits: Limits{Events: rarely(2)}},
				withPolicy(t, plainly, onIn(t, "ours", func(*Event) {})), on("theirs", func(*Event) {}))
			s.talkPatience = -1
			c, _ := s.connected(engineio.WebSocket)
			c.send(`2["ours"]`)
			_ = c.trySend(packet)
			c.expect(append(answers, "1")...)
			c.expectEnd()
		}
	})
	t.Run("rights", func(t *testing.T) {
		s := newTestServer(t, Options{}, withPolicy(t, plainly, onIn(t, "ours", func(*Event) {})), on("theirs", func(*Event) {}),
			authenticate(func(context.Context, *Credentials) (*Identity, error) {
				return &Identity{ID: "ann", Publish: LimitTo("none")}, nil
			}))
		c, _ := s.connected(engineio.WebSocket)
		c.send(`27["ours"]`, `28["theirs"]`)
		c.expect(`37["forbidden"]`, `38[{"success":false,"error":"not allowed to send this event","code":"forbidden"}]`,
			`2["error",{"message":"not allowed to send this event","code":"forbidden"}]`)
	})
	t.Run("payload", func(t *testing.T) {
		s := newTestServer(t, Options{}, withPolicy(t, plainly, func(h *Handlers) {
			_ = On(h, "ours", func(*Event, int) (struct{}, error) { return struct{}{}, nil })
		}))
		c, _ := s.connected(engineio.WebSocket)
		c.send(`27["ours","text"]`)
		c.expect(`37["invalid_payload"]`)
		// What is no event at all ends the connection, once that is told.
		_ = c.trySend(`28[{}]`)
		c.expect(`38["invalid_payload"]`)
		c.expectEnd()
	})
}

// What belongs to no set is refused as the set has it whose business it is most.
func TestRefusalPolicyOfWhatNobodyHandles(t *testing.T) {
	as := func(name string) RefusalPolicy {
		return func(e *Event, refusal *EventError) { _ = e.Ack.ReplyWith(name, refusal.Code) }
	}
	refuseUnknown := func(h *Handlers) { h.RefuseUnknown() }
	takeUnknown := func(h *Handlers) {
		if err := h.OnUnknown(func(e *Event) { e.Refuse("no", "no") }); err != nil {
			t.Error(err)
		}
	}
	const builtIn = `[{"success":false,"error":"unknown event","code":"unknown_event"}]`
	const builtInReserved = `[{"success":false,"error":"the event name is reserved","code":"reserved_event"}]`
	for name, test := range map[string]struct {
		sets              []EventSet
		unknown, reserved string
	}{
		"no set has a policy":                          {[]EventSet{refusingUnknown(), on("known", func(*Event) {})}, builtIn, builtInReserved},
		"one set has a policy and refuses":             {[]EventSet{withPolicy(t, as("a"), refuseUnknown)}, `["a","unknown_event"]`, `["a","reserved_event"]`},
		"the first with a policy that refuses":         {[]EventSet{withPolicy(t, as("a")), refusingUnknown(), withPolicy(t, as("b"), refuseUnknown), withPolicy(t, as("c"), refuseUnknown)}, `["b","unknown_event"]`, `["b","reserved_event"]`},
		"a set that refuses comes before one that not": {[]EventSet{withPolicy(t, as("a")), refusingUnknown()}, builtIn, builtInReserved},
		"the set that takes unknown events":            {[]EventSet{withPolicy(t, as("a"), refuseUnknown), withPolicy(t, as("b"), takeUnknown)}, `["b","no"]`, `["b","reserved_event"]`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestServer(t, Options{}, test.sets...)
			c, _ := s.connected(engineio.WebSocket)
			c.send(`27["shout"]`)
			c.expect(`37` + test.unknown)
			c.send(`28["connect"]`)
			c.expect(`38` + test.reserved)
		})
	}
}

// A handler that has nothing to do with an event and panics is told of as the
// clients of the namespace are used to.
func TestRefusalPolicyOfPanicsBesidesEvents(t *testing.T) {
	s := newTestServer(t, Options{}, withPolicy(t, plainly, onIn(t, "ask", func(e *Event) {
		_ = e.Socket.EmitWithAck("question", packet.Args{}, patience, func(packet.Args, error) { panic("deliberate") })
	})))
	c, _ := s.connected(engineio.WebSocket)
	c.send(`2["ask"]`)
	c.send(`3` + ackID(t, c.next()) + `[]`)
	c.expect(`2["refused","internal_error",""]`)
	if refused := s.counted("/").RefusedEvents.Of(eventCodes[:]...); refused != 0 {
		t.Errorf("%d events were refused", refused)
	}
}

func TestPolicyThatPanicsHarmsNobody(t *testing.T) {
	s := newTestServer(t, Options{}, withPolicy(t, func(*Event, *EventError) { panic("deliberate") },
		onIn(t, "ours", func(e *Event) { e.Refuse("no", "no") }), onIn(t, "panic", func(*Event) { panic("deliberate") }),
		onIn(t, "fine", func(e *Event) { e.Ack.Reply(e.Args) })))
	c, _ := s.connected(engineio.WebSocket)
	c.send(`2["ours"]`, `2["panic"]`, `2["connect"]`, `27["fine",1]`)
	c.expect(`37[1]`)
	c.expectAlive()
}

func TestTwoPoliciesOfOneEventSetAreAnError(t *testing.T) {
	var h Handlers
	h.begin(refusingUnknown())
	if err := h.RefuseWith(plainly); err != nil {
		t.Error(err)
	}
	if err := h.RefuseWith(plainly); err == nil || !strings.Contains(err.Error(), "streaming.handlers") {
		t.Errorf("error %v", err)
	}
	h.begin(refusingUnknown())
	if err := h.RefuseWith(plainly); err != nil {
		t.Error("another set:", err)
	}
}

func TestNilIsNoPolicy(t *testing.T) {
	var h Handlers
	h.begin(refusingUnknown())
	err := h.RefuseWith(nil)
	for _, want := range []string{"streaming.handlers", "nil", "leave RefuseWith out"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
	if err := h.RefuseWith(plainly); err != nil {
		t.Error("a policy after that:", err)
	}
}

type joinRequest struct {
	Room string `json:"room"`
	Size int    `json:"size"`
	Logo []byte `json:"logo"`
}

type joinReply struct {
	Members int    `json:"members"`
	Logo    []byte `json:"logo,omitempty"`
}

func TestTypedHandlers(t *testing.T) {
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		for _, err := range []error{
			On(h, "join", func(e *Event, r joinRequest) (joinReply, error) {
				return joinReply{Members: e.Args.Len() + r.Size, Logo: r.Logo}, e.Socket.Join(r.Room)
			}),
			On(h, "nothing", func(_ *Event, _ struct{}) (struct{}, error) { return struct{}{}, nil }),
			On(h, "args", func(e *Event, _ struct{}) (packet.Args, error) { return e.Args, nil }),
			On(h, "list", func(_ *Event, list []string) (any, error) { slices.Sort(list); return list, nil }),
			On(h, "own", func(e *Event, text string) (string, error) {
				e.Ack.Reply(mustArgs("first " + text))
				return "late", nil
			}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	}))
	c, _ := s.connected(engineio.WebSocket)
	for _, test := range []struct {
		event  []any
		answer []any
	}{
		{[]any{`27["join",{"room":"a","size":2},"more"]`}, []any{`37[{"members":4}]`}},
		{[]any{`51-8["join",{"room":"b","logo":` + placeholder0 + `}]`, []byte("png")}, []any{`61-8[{"members":1,"logo":` + placeholder0 + `}]`, []byte("png")}},
		{[]any{`27["nothing"]`}, []any{`37[]`}},
		{[]any{`27["nothing",1,{}]`}, []any{`37[]`}},
		{[]any{`51-7["args",1,` + placeholder0 + `]`, []byte("x")}, []any{`61-7[1,` + placeholder0 + `]`, []byte("x")}},
		{[]any{`27["list",["b","a"]]`}, []any{`37[["a","b"]]`}},
		{[]any{`27["own","x"]`}, []any{`37["first x"]`}},
		{[]any{`2["list",["b","a"]]`}, nil},
	} {
		c.send(test.event...)
		c.expect(test.answer...)
	}
	c.expectAlive()
	if n := s.Of("/"); n.Count("a") != 1 || n.Count("b") != 1 {
		t.Error("the rooms were not joined")
	}
}

// What does not fit never comes to the handler, and the client hears where it
// does not, but nothing of this program's types.
func TestTypedHandlersRefuseWhatDoesNotFit(t *testing.T) {
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		_ = On(h, "join", func(_ *Event, r joinRequest) (struct{}, error) {
			t.Errorf("called with %+v", r)
			return struct{}{}, nil
		})
	}))
	c, _ := s.connected(engineio.WebSocket)
	for list, message := range map[string]string{
		``:                         `argument 0 is missing`,
		`,"room"`:                  `argument 0 does not fit`,
		`,{"room":1}`:              `room in argument 0 does not fit`,
		`,{"size":1.5,"room":"a"}`: `size in argument 0 does not fit`,
		`,{"logo":"aGVsbG8="}`:     `logo in argument 0 is not binary`,
		`,[{"room":"a"}]`:          `argument 0 does not fit`,
		`,{"size":"1","Size":1}`:   `size in argument 0 does not fit`,
	} {
		c.send(`27["join"` + list + `]`)
		c.expect(`37[{"success":false,"error":"`+message+`","code":"invalid_payload"}]`, `2["error",{"message":"`+message+`","code":"invalid_payload"}]`)
	}
}

func TestTypedHandlersRefuseWithTheirErrors(t *testing.T) {
	secret := errors.New("the database at 10.0.0.1 is away")
	s := newTestServer(t, Options{Limits: Limits{Rooms: 1}}, handlers(func(_ *Namespace, h *Handlers) {
		_ = On(h, "full", func(*Event, struct{}) (joinReply, error) {
			return joinReply{}, &EventError{Code: "room_full", Message: "the room is full"}
		})
		_ = On(h, "quiet", func(*Event, struct{}) (joinReply, error) {
			return joinReply{}, &EventError{Code: "later", Message: "later", Quiet: true}
		})
		_ = On(h, "wrapped", func(e *Event, _ struct{}) (joinReply, error) {
			_ = e.Socket.Join("a")
			return joinReply{}, errors.Join(errors.New("joining"), e.Socket.Join("b"))
		})
		_ = On(h, "fails", func(*Event, struct{}) (joinReply, error) { return joinReply{Members: 3}, secret })
		_ = On(h, "reply", func(*Event, struct{}) (any, error) { return func() {}, nil })
	}))
	c, _ := s.connected(engineio.WebSocket)
	for event, answer := range map[string]string{
		"full":    `"error":"the room is full","code":"room_full"`,
		"quiet":   `"error":"later","code":"later"`,
		"wrapped": `"error":"the client is in too many rooms","code":"too_many_rooms"`,
		"fails":   `"error":"internal error","code":"internal_error"`,
		"reply":   `"error":"internal error","code":"internal_error"`,
	} {
		c.send(`27["` + event + `"]`)
		c.expect(`37[{"success":false,` + answer + `}]`)
		if event != "quiet" {
			c.next()
		}
	}
	c.expectAlive()
	logged := s.logs.all("an event handler has failed")
	texts := make(map[string]string)
	for _, line := range logged {
		texts[line.attrs["event"]] = line.attrs["error"]
	}
	if len(logged) != 2 || texts["fails"] != secret.Error() || !strings.Contains(texts["reply"], "func()") {
		t.Errorf("logged %+v", logged)
	}
}

// ErrForbidden and ErrTooManyRooms are found by errors.Is, and say how an event
// is refused for them.
func TestErrorsOfJoinAreEventErrors(t *testing.T) {
	for _, err := range []error{ErrForbidden, ErrTooManyRooms} {
		var refusal *EventError
		if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Message == "" {
			t.Errorf("%v", err)
		}
	}
	if errors.Is(ErrForbidden, ErrTooManyRooms) {
		t.Error("they are the same")
	}
}

func TestTypedHandlersRegisterLikeOthers(t *testing.T) {
	var h Handlers
	handler := func(*Event, struct{}) (struct{}, error) { return struct{}{}, nil }
	if err := On(&h, "disconnect", handler); !errors.Is(err, packet.ErrReservedEvent) {
		t.Errorf("a reserved name: %v", err)
	}
	if err := errors.Join(On(&h, "one", handler), h.On("two", func(*Event) {})); err != nil {
		t.Error(err)
	}
	if On(&h, "two", handler) == nil || h.On("one", func(*Event) {}) == nil || On(&h, "", handler) == nil {
		t.Error("a name was taken twice, or there was none")
	}
}
