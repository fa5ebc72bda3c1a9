package streams

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/events/relay"
	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// The first part of the contract: what clients of the replaced service send
// and hear.
func TestStreamingContract(t *testing.T) {
	s := newServer(t, &Set{})
	a, b, c := s.Connect(), s.Connect(), s.Connect()
	for _, step := range []struct {
		name   string
		send   string
		binary []string
		// sender and others are what a and the others hear.
		sender, others string
	}{
		{"start", `2["stream:start",{"streamId":"one"}]`, nil, `2["stream:started",{"status":"ok","streamId":"one"}]`, ""},
		{"start with more", `2["stream:start",{"streamId":"two","title":"x","header":null},1]`, nil, `2["stream:started",{"status":"ok","streamId":"two"}]`, ""},
		{"text data", `2["stream:data","text"]`, nil, "", `2["stream:data","text"]`},
		{"data of a stream", `2["stream:data",{"streamId":"one","data":[1,2]}]`, nil, "", `2["stream:data",{"streamId":"one","data":[1,2]}]`},
		{"data without payload", `2["stream:data"]`, nil, "", `2["stream:data"]`},
		{"data with several payloads", `2["stream:data",1,null,{"a":"ä"}]`, nil, "", `2["stream:data",1,null,{"a":"ä"}]`},
		{"binary data", `51-["stream:data",` + placeholder0 + `]`, []string{"\x00\x01\xff"}, "", `51-["stream:data",` + placeholder0 + `]`},
		{"nested binary data", `51-["stream:data",{"streamId":"one","chunk":` + placeholder0 + `}]`, []string{"chunk"}, "", `51-["stream:data",{"streamId":"one","chunk":` + placeholder0 + `}]`},
		{"data of a stream that nobody started", `2["stream:data",{"streamId":"none","data":1}]`, nil, "", `2["stream:data",{"streamId":"none","data":1}]`},
		{"message", `2["message",{"any":["thing"]}]`, nil, "", `2["message",{"any":["thing"]}]`},
		{"message without payload", `2["message"]`, nil, "", `2["message"]`},
		{"binary message", `51-["message",` + placeholder0 + `,"x"]`, []string{"binary"}, "", `51-["message",` + placeholder0 + `,"x"]`},
		{"stop", `2["stream:stop",{"streamId":"one"}]`, nil, `2["stream:stopped",{"status":"ok","streamId":"one"}]`, ""},
		{"stop again", `2["stream:stop",{"streamId":"one"}]`, nil, `2["stream:stopped",{"status":"ok","streamId":"one"}]`, ""},
		{"stop what nobody started", `2["stream:stop",{"streamId":"none"}]`, nil, `2["stream:stopped",{"status":"ok","streamId":"none"}]`, ""},
	} {
		a.Send(step.send, step.binary...)
		if step.sender != "" {
			a.Expect(step.sender)
		}
		a.ExpectNothing()
		for _, other := range []*client{b, c} {
			if step.others != "" {
				other.Expect(step.others, step.binary...)
			}
			other.ExpectNothing()
		}
		if t.Failed() {
			t.Fatal(step.name)
		}
	}
}

// Every event of the contract is acknowledged when that is asked for.
func TestStreamingAcknowledges(t *testing.T) {
	s := newServer(t, &Set{})
	owner, viewer := s.Connect(), s.Connect()
	owner.Send(`21["stream:start",{"streamId":"one"}]`)
	owner.Expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
	ack, secret, _ := strings.Cut(owner.Next().Text, `,"secret":`)
	if ack != `31[{"success":true,"stream":{"streamId":"one","live":true,"viewers":0}` || len(secret) < len(`"}]`)+20 {
		t.Errorf("got %s and %s", ack, secret)
	}
	viewer.Send(`22["stream:join",{"streamId":"one"}]`)
	viewer.Expect(`32[{"success":true,"stream":{"streamId":"one","live":true,"viewers":1}}]`)
	viewer.Send(`23["stream:join",{"streamId":"later"}]`)
	viewer.Expect(`33[{"success":true,"stream":{"streamId":"later","live":false,"viewers":1}}]`)
	viewer.Send(`24["stream:leave",{"streamId":"later"}]`)
	viewer.Expect(`34[{"success":true}]`)
	viewer.Send(`25["stream:leave",{"streamId":"one"}]`)
	viewer.Expect(`35[{"success":true}]`)
	owner.Send(`26["stream:data",{"streamId":"one"}]`)
	owner.Expect(`36[{"success":true}]`)
	owner.Send(`27["stream:data"]`)
	owner.Expect(`37[{"success":true}]`)
	owner.Send(`28["message","x"]`)
	owner.Expect(`38[{"success":true}]`)
	owner.Send(`29["stream:stop",{"streamId":"one"}]`)
	owner.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	owner.Expect(`39[{"success":true}]`)
}

// The service that this one replaces crashed of a stream:start without
// argument. Whatever is wrong with a streamId: an error, an acknowledgement if
// it was asked for, and the connection lives.
func TestMissingOrMistypedStreamIDIsRefused(t *testing.T) {
	s := newServer(t, &Set{})
	witness := s.Connect()
	c := s.Connect()
	const needs, mustBe = "%s needs an object with a streamId", "streamId must be a string of 1 to 256 bytes without control characters"
	for _, event := range []string{"stream:start", "stream:stop", "stream:join", "stream:leave"} {
		for _, test := range []struct {
			args    string
			message string
		}{
			{``, needs},
			{`,null`, needs},
			{`,"one"`, needs},
			{`,7`, needs},
			{`,[]`, needs},
			{`,[{"streamId":"one"}]`, needs},
			{`,null,{"streamId":"one"}`, needs},
			{`,{}`, mustBe},
			{`,{"streamid":"one"}`, mustBe},
			{`,{"STREAMID":"one"}`, mustBe},
			{`,{"x":{"streamId":"one"}}`, mustBe},
			{`,{"streamId":null}`, mustBe},
			{`,{"streamId":7}`, mustBe},
			{`,{"streamId":true}`, mustBe},
			{`,{"streamId":["one"]}`, mustBe},
			{`,{"streamId":{"toString":"one"}}`, mustBe},
			{`,{"streamId":""}`, mustBe},
			{`,{"streamId":"one","streamId":7}`, mustBe},
			{`,{"streamId":"a\u0000b"}`, mustBe},
			{`,{"streamId":"a\nb"}`, mustBe},
			{`,{"streamId":"\u0085"}`, mustBe},
			{`,{"streamId":"` + strings.Repeat("x", maxStreamID+1) + `"}`, mustBe},
			{`,{"streamId":"` + strings.Repeat("ä", maxStreamID/2+1) + `"}`, mustBe},
		} {
			message := test.message
			if message == needs {
				message = fmt.Sprintf(needs, event)
			}
			c.Send(`2["` + event + `"` + test.args + `]`)
			c.Expect(eventstest.Refusal(CodeInvalidStreamID, message))
			c.Send(`27["` + event + `"` + test.args + `]`)
			c.Expect(eventstest.RefusedAck(7, CodeInvalidStreamID, message))
			c.Expect(eventstest.Refusal(CodeInvalidStreamID, message))
		}
		c.Send(`51-["`+event+`",{"streamId":`+placeholder0+`}]`, "one")
		c.Expect(eventstest.Refusal(CodeInvalidStreamID, mustBe))
	}
	c.ExpectNothing()
	witness.ExpectNothing()
	if n := len(s.table().byID); n != 0 {
		t.Errorf("%d streams", n)
	}
	// The longest that is allowed, and what merely looks odd.
	for _, id := range []string{strings.Repeat("x", maxStreamID), "ä", " ", "__proto__", "a/b?c", "😀"} {
		c.start(id)
	}
}

func TestInvalidHeaderIsRefused(t *testing.T) {
	s := newServer(t, &Set{})
	c := s.Connect()
	for _, header := range []string{`"text"`, `7`, `true`, `{}`, `[]`, `{"_placeholder":true,"num":0}`, `[` + placeholder0 + `]`} {
		c.Send(`25["stream:start",{"streamId":"one","header":` + header + `}]`)
		c.Expect(eventstest.RefusedAck(5, CodeInvalidHeader, "header must be binary"))
		c.Expect(eventstest.Refusal(CodeInvalidHeader, "header must be binary"))
	}
	c.ExpectNothing()
	if n := len(s.table().byID); n != 0 {
		t.Errorf("%d streams", n)
	}
}

// A stream has one owner: nobody else can start it, stop it, or send its data.
func TestStreamBelongsToItsOwner(t *testing.T) {
	const message = "the stream belongs to another client"
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newServer(t, &Set{Audience: audience})
			owner, other, viewer := s.Connect(), s.Connect(), s.Connect()
			owner.start("one")
			viewer.join("one")
			other.join("one")
			for _, packet := range []struct {
				text   string
				code   string
				binary []string
			}{
				{`"stream:start",{"streamId":"one"}]`, CodeStreamTaken, nil},
				{`"stream:stop",{"streamId":"one"}]`, CodeNotOwner, nil},
				{`"stream:data",{"streamId":"one","data":"forged"}]`, CodeNotOwner, nil},
				{`"stream:data",{"data":` + placeholder0 + `,"streamId":"one"}]`, CodeNotOwner, []string{"forged"}},
			} {
				head, ack := "2", "23"
				if len(packet.binary) > 0 {
					head, ack = "51-", "51-3"
				}
				other.Send(head+"["+packet.text, packet.binary...)
				other.Expect(eventstest.Refusal(packet.code, message))
				other.Send(ack+"["+packet.text, packet.binary...)
				other.Expect(eventstest.RefusedAck(3, packet.code, message))
				other.Expect(eventstest.Refusal(packet.code, message))
			}
			owner.Send(`2["stream:data",{"streamId":"one","data":"real"}]`)
			expectPast(viewer, `2["stream:data",{"streamId":"one","data":"real"}]`)
			expectPast(other, `2["stream:data",{"streamId":"one","data":"real"}]`)

			// Once it is stopped, it is anybody's.
			owner.Send(`2["stream:stop",{"streamId":"one"}]`)
			expectPast(owner, `2["stream:stopped",{"status":"ok","streamId":"one"}]`)
			other.Send(`2["stream:start",{"streamId":"one"}]`)
			expectPast(other, `2["stream:started",{"status":"ok","streamId":"one"}]`)
			owner.Send(`2["stream:stop",{"streamId":"one"}]`)
			expectPast(owner, eventstest.Refusal(CodeNotOwner, message))
		})
	}
}

// expectPast waits for a packet, past news of streams.
func expectPast(c *client, text string) {
	c.T.Helper()
	for {
		r := c.Next()
		if r.Text == text {
			return
		}
		if !strings.HasPrefix(r.Text, `2["stream:stopped",`) && !strings.HasPrefix(r.Text, `2["stream:started",`) {
			c.T.Fatalf("want %s, got %v", text, r)
		}
	}
}

// What is checked is what clients will read: the last of equal names, exactly
// written, escapes resolved.
func TestStreamIDCannotBeSpoofed(t *testing.T) {
	s := newServer(t, &Set{})
	owner, forger, witness := s.Connect(), s.Connect(), s.Connect()
	owner.start("other")
	forger.start("mine")
	refused := eventstest.Refusal(CodeNotOwner, "the stream belongs to another client")
	for _, object := range []string{
		`{"streamId":"other"}`,
		`{"streamId":"mine","streamId":"other"}`,
		`{"streamId":"mine","stre\u0061mId":"other"}`,
		`{"\u0073\u0074reamId":"other"}`,
		`{"streamId":"oth\u0065r"}`,
		`{"streamId":7,"streamId":"other"}`,
		`{"x":{"streamId":"mine"},"streamId":"other"}`,
		" {\t\"streamId\" :\n\"other\" } ",
	} {
		forger.Send(`2["stream:data",` + object + `]`)
		forger.Expect(refused)
		forger.ExpectNothing()
		witness.ExpectNothing()
	}
	for _, object := range []string{
		`{"streamId":"mine"}`,
		`{"streamId":"mine","STREAMID":"other"}`,
		`{"STREAMID":"other","streamId":"mine"}`,
		`{"streamId":"other","streamId":"mine"}`,
		`{"streamId":"other","stre\u0061mId":"mine"}`,
		`{"streamId":"mine","x":{"streamId":"other"}}`,
		`{"streamid":"other"}`,
		`{"x":{"streamId":"other"}}`,
		`{"streamId ":"other"}`,
	} {
		forger.Send(`2["stream:data",` + object + `]`)
		witness.Expect(`2["stream:data",` + object + `]`)
		forger.ExpectNothing()
	}
	// The same when it is to be stopped.
	for _, object := range []string{`{"streamId":"mine","streamId":"other"}`, `{"streamId":"mine","stre\u0061mId":"other"}`} {
		forger.Send(`2["stream:stop",` + object + `]`)
		forger.Expect(refused)
	}
	forger.Send(`2["stream:stop",{"STREAMID":"other","streamId":"mine"}]`)
	forger.Expect(`2["stream:stopped",{"status":"ok","streamId":"mine"}]`)
	if s.table().get("other") == nil {
		t.Error("another's stream was stopped")
	}
}

// Clients that use a streamId as a property name turn a number or an array
// into text, so data that has such a streamId could pass for that of another
// stream.
func TestMistypedStreamIDOfDataIsRefused(t *testing.T) {
	s := newServer(t, &Set{})
	owner, forger, witness := s.Connect(), s.Connect(), s.Connect()
	owner.start("7")
	owner.start("other")
	for _, id := range []string{`7`, `7.0`, `["7"]`, `["other"]`, `[["other"]]`, `{}`, `true`} {
		forger.Send(`2["stream:data",{"streamId":` + id + `}]`)
		forger.Expect(eventstest.Refusal(CodeInvalidStreamID, "streamId must be a string of 1 to 256 bytes without control characters"))
		forger.ExpectNothing()
		witness.ExpectNothing()
	}
}

func TestMaxStreams(t *testing.T) {
	s := newServer(t, &Set{MaxStreams: 2})
	from := func(address string) *client { return s.ConnectAs(eventstest.Who{Address: address}) }
	a, b, c := from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.3")
	a.start("one")
	b.start("two")
	c.Send(`2["stream:start",{"streamId":"three"}]`)
	c.Expect(eventstest.Refusal(CodeTooManyStreams, "there are too many streams"))
	c.Send(`25["stream:start",{"streamId":"three"}]`)
	c.Expect(eventstest.RefusedAck(5, CodeTooManyStreams, "there are too many streams"))
	c.Expect(eventstest.Refusal(CodeTooManyStreams, "there are too many streams"))
	// Those there are may start again, and the end of one makes room.
	a.start("one")
	b.Close()
	c.Expect(`2["stream:stopped",{"status":"ok","streamId":"two","reason":"the owner has disconnected"}]`)
	b.Gone()
	c.start("three")
}

// snapshot lists the IDs of the streams.
func (t *streams) snapshot() (ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.byID {
		ids = append(ids, id)
	}
	return ids
}

// One socket can join so many streams and no more.
func TestMaxJoined(t *testing.T) {
	s := newServer(t, &Set{})
	c := s.Connect()
	for i := range maxJoined {
		c.Send(fmt.Sprintf(`2["stream:join",{"streamId":"%d"}]`, i))
	}
	c.Send(`21["stream:join",{"streamId":"one too many"}]`)
	c.Expect(eventstest.RefusedAck(1, CodeTooManyStreams, "the client has joined too many streams"))
	c.Expect(eventstest.Refusal(CodeTooManyStreams, "the client has joined too many streams"))
	c.Send(`2["stream:leave",{"streamId":"0"}]`)
	c.Send(`22["stream:join",{"streamId":"one too many"}]`)
	c.Expect(`32[{"success":true,"stream":{"streamId":"one too many","live":false,"viewers":1}}]`)
}

// An owner that disconnects stops its streams, and the audience hears of it.
func TestOwnerDisconnects(t *testing.T) {
	for _, test := range []struct {
		audience Audience
		all      bool
	}{{AudienceAll, true}, {AudienceSubscribers, false}} {
		for _, way := range []string{"vanishes", "leaves", "is disconnected"} {
			t.Run(string(test.audience)+"/"+way, func(t *testing.T) {
				s := newServer(t, &Set{Audience: test.audience})
				owner, viewer, other := s.Connect(), s.Connect(), s.Connect()
				owner.startWith("one", "header")
				owner.start("two")
				owner.start("stopped before")
				owner.Send(`2["stream:stop",{"streamId":"stopped before"}]`)
				owner.Expect(`2["stream:stopped",{"status":"ok","streamId":"stopped before"}]`)
				other.start("another's")
				viewer.join("one")
				switch way {
				case "vanishes":
					_ = owner.Conn.Reset()
				case "leaves":
					owner.Send("1")
				default:
					s.Of("/").To(owner.ID).Disconnect(true)
				}
				expectPast(viewer, `2["stream:stopped",{"status":"ok","streamId":"one","reason":"the owner has disconnected"}]`)
				if test.all {
					expectPast(viewer, `2["stream:stopped",{"status":"ok","streamId":"two","reason":"the owner has disconnected"}]`)
					expectPast(other, `2["stream:stopped",{"status":"ok","streamId":"one","reason":"the owner has disconnected"}]`)
					expectPast(other, `2["stream:stopped",{"status":"ok","streamId":"two","reason":"the owner has disconnected"}]`)
				}
				owner.Gone()
				other.ExpectNothing()
				if live := s.table().snapshot(); len(live) != 1 {
					t.Errorf("there are still %v", live)
				}
				if s.owners() != 1 || s.kept() != 0 {
					t.Errorf("%d owners, %d bytes", s.owners(), s.kept())
				}
			})
		}
	}
}

// The options may change and streams go on: the state outlives the event set.
func TestOptionsChangeWhileStreamsGoOn(t *testing.T) {
	s := newServer(t, &Set{})
	owner, viewer, other := s.Connect(), s.Connect(), s.Connect()
	owner.startWith("one", "header")
	if err := s.UseSets(&Set{Audience: AudienceSubscribers, MaxStreams: 1}); err != nil {
		t.Fatal(err)
	}
	if before := viewer.join("one"); len(before) != 1 || before[0].Binary[0] != "header" {
		t.Errorf("got %v", before)
	}
	owner.Send(`2["stream:data",{"streamId":"one"}]`)
	viewer.Expect(`2["stream:data",{"streamId":"one"}]`)
	other.Send(`2["stream:start",{"streamId":"two"}]`)
	other.Expect(eventstest.Refusal(CodeTooManyStreams, tooMany[share.OverAddress].message))
	owner.Close()
	expectPast(viewer, `2["stream:stopped",{"status":"ok","streamId":"one","reason":"the owner has disconnected"}]`)
	owner.Gone()
	other.ExpectNothing()
}

func TestEventSetsThatHandleOneEvent(t *testing.T) {
	n := streaming.New(streaming.Options{}, nil).Of("/")
	for _, sets := range [][]streaming.EventSet{
		{&Set{}, &Set{}},
		{&Set{}, &relay.Set{Events: []string{"message"}}},
		{&relay.Set{Events: []string{"a", "b"}}, &relay.Set{Events: []string{"b"}}},
		{&relay.Set{Events: []string{"a", "a"}}},
		{&relay.Set{Events: []string{"disconnect"}}},
		{&relay.Set{Events: []string{""}}},
	} {
		if err := n.Use(sets...); err == nil {
			t.Errorf("%+v: no error", sets)
		}
	}
	if err := n.Use(&Set{}, &relay.Set{Events: []string{"chat"}}); err != nil {
		t.Error(err)
	}
}

// Who stops a stream that was never started is answered, and nobody else is.
func TestStopOfUnknownStreamIsToldToNobodyElse(t *testing.T) {
	s := newServer(t, &Set{})
	c, viewer := s.Connect(), s.Connect()
	viewer.join("one")
	c.Send(`2["stream:stop",{"streamId":"one"}]`)
	c.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	c.ExpectNothing()
	viewer.ExpectNothing()
}
