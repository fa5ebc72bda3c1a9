package events

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// The first part of the contract: what clients of the replaced service send
// and hear.
func TestStreamingContract(t *testing.T) {
	s := newService(t, &Streaming{})
	a, b, c := s.connect(), s.connect(), s.connect()
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
		a.send(step.send, step.binary...)
		if step.sender != "" {
			a.expect(step.sender)
		}
		a.expectNothing()
		for _, other := range []*client{b, c} {
			if step.others != "" {
				other.expect(step.others, step.binary...)
			}
			other.expectNothing()
		}
		if t.Failed() {
			t.Fatal(step.name)
		}
	}
}

// Every event of the contract is acknowledged when that is asked for.
func TestStreamingAcknowledges(t *testing.T) {
	s := newService(t, &Streaming{})
	owner, viewer := s.connect(), s.connect()
	owner.send(`21["stream:start",{"streamId":"one"}]`)
	owner.expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
	owner.expect(`31[{"success":true,"stream":{"streamId":"one","live":true,"viewers":0}}]`)
	viewer.send(`22["stream:join",{"streamId":"one"}]`)
	viewer.expect(`32[{"success":true,"stream":{"streamId":"one","live":true,"viewers":1}}]`)
	viewer.send(`23["stream:join",{"streamId":"later"}]`)
	viewer.expect(`33[{"success":true,"stream":{"streamId":"later","live":false,"viewers":1}}]`)
	viewer.send(`24["stream:leave",{"streamId":"later"}]`)
	viewer.expect(`34[{"success":true}]`)
	viewer.send(`25["stream:leave",{"streamId":"one"}]`)
	viewer.expect(`35[{"success":true}]`)
	owner.send(`26["stream:data",{"streamId":"one"}]`)
	owner.expect(`36[{"success":true}]`)
	owner.send(`27["stream:data"]`)
	owner.expect(`37[{"success":true}]`)
	owner.send(`28["message","x"]`)
	owner.expect(`38[{"success":true}]`)
	owner.send(`29["stream:stop",{"streamId":"one"}]`)
	owner.expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	owner.expect(`39[{"success":true}]`)
}

// The service that this one replaces crashed of a stream:start without
// argument. Whatever is wrong with a streamId: an error, an acknowledgement if
// it was asked for, and the connection lives.
func TestMissingOrMistypedStreamIDIsRefused(t *testing.T) {
	s := newService(t, &Streaming{})
	witness := s.connect()
	c := s.connect()
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
			c.send(`2["` + event + `"` + test.args + `]`)
			c.expect(refusal(CodeInvalidStreamID, message))
			c.send(`27["` + event + `"` + test.args + `]`)
			c.expect(refusedAck(7, CodeInvalidStreamID, message))
			c.expect(refusal(CodeInvalidStreamID, message))
		}
		c.send(`51-["`+event+`",{"streamId":`+placeholder0+`}]`, "one")
		c.expect(refusal(CodeInvalidStreamID, mustBe))
	}
	c.expectNothing()
	witness.expectNothing()
	if n := len(s.streamsOf().byID); n != 0 {
		t.Errorf("%d streams", n)
	}
	// The longest that is allowed, and what merely looks odd.
	for _, id := range []string{strings.Repeat("x", maxStreamID), "ä", " ", "__proto__", "a/b?c", "😀"} {
		c.start(id)
	}
}

func TestInvalidHeaderIsRefused(t *testing.T) {
	s := newService(t, &Streaming{})
	c := s.connect()
	for _, header := range []string{`"text"`, `7`, `true`, `{}`, `[]`, `{"_placeholder":true,"num":0}`, `[` + placeholder0 + `]`} {
		c.send(`25["stream:start",{"streamId":"one","header":` + header + `}]`)
		c.expect(refusedAck(5, CodeInvalidHeader, "header must be binary"))
		c.expect(refusal(CodeInvalidHeader, "header must be binary"))
	}
	c.expectNothing()
	if n := len(s.streamsOf().byID); n != 0 {
		t.Errorf("%d streams", n)
	}
}

// A stream has one owner: nobody else can start it, stop it, or send its data.
func TestStreamBelongsToItsOwner(t *testing.T) {
	const message = "the stream belongs to another client"
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newService(t, &Streaming{Audience: audience})
			owner, other, viewer := s.connect(), s.connect(), s.connect()
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
				other.send(head+"["+packet.text, packet.binary...)
				other.expect(refusal(packet.code, message))
				other.send(ack+"["+packet.text, packet.binary...)
				other.expect(refusedAck(3, packet.code, message))
				other.expect(refusal(packet.code, message))
			}
			owner.send(`2["stream:data",{"streamId":"one","data":"real"}]`)
			expectPast(viewer, `2["stream:data",{"streamId":"one","data":"real"}]`)
			expectPast(other, `2["stream:data",{"streamId":"one","data":"real"}]`)

			// Once it is stopped, it is anybody's.
			owner.send(`2["stream:stop",{"streamId":"one"}]`)
			expectPast(owner, `2["stream:stopped",{"status":"ok","streamId":"one"}]`)
			other.send(`2["stream:start",{"streamId":"one"}]`)
			expectPast(other, `2["stream:started",{"status":"ok","streamId":"one"}]`)
			owner.send(`2["stream:stop",{"streamId":"one"}]`)
			expectPast(owner, refusal(CodeNotOwner, message))
		})
	}
}

// expectPast waits for a packet, past news of streams.
func expectPast(c *client, text string) {
	c.t.Helper()
	for {
		r := c.next()
		if r.text == text {
			return
		}
		if !strings.HasPrefix(r.text, `2["stream:stopped",`) && !strings.HasPrefix(r.text, `2["stream:started",`) {
			c.t.Fatalf("want %s, got %v", text, r)
		}
	}
}

// What is checked is what clients will read: the last of equal names, exactly
// written, escapes resolved.
func TestStreamIDCannotBeSpoofed(t *testing.T) {
	s := newService(t, &Streaming{})
	owner, forger, witness := s.connect(), s.connect(), s.connect()
	owner.start("other")
	forger.start("mine")
	refused := refusal(CodeNotOwner, "the stream belongs to another client")
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
		forger.send(`2["stream:data",` + object + `]`)
		forger.expect(refused)
		witness.expectNothing()
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
		forger.send(`2["stream:data",` + object + `]`)
		witness.expect(`2["stream:data",` + object + `]`)
		forger.expectNothing()
	}
	// The same when it is to be stopped.
	for _, object := range []string{`{"streamId":"mine","streamId":"other"}`, `{"streamId":"mine","stre\u0061mId":"other"}`} {
		forger.send(`2["stream:stop",` + object + `]`)
		forger.expect(refused)
	}
	forger.send(`2["stream:stop",{"STREAMID":"other","streamId":"mine"}]`)
	forger.expect(`2["stream:stopped",{"status":"ok","streamId":"mine"}]`)
	if s.streamsOf().get("other") == nil {
		t.Error("another's stream was stopped")
	}
}

// Clients that use a streamId as a property name turn a number or an array
// into text, so data that has such a streamId could pass for that of another
// stream.
func TestMistypedStreamIDOfDataIsRefused(t *testing.T) {
	s := newService(t, &Streaming{})
	owner, forger, witness := s.connect(), s.connect(), s.connect()
	owner.start("7")
	owner.start("other")
	for _, id := range []string{`7`, `7.0`, `["7"]`, `["other"]`, `[["other"]]`, `{}`, `true`} {
		forger.send(`2["stream:data",{"streamId":` + id + `}]`)
		forger.expect(refusal(CodeInvalidStreamID, "streamId must be a string of 1 to 256 bytes without control characters"))
		witness.expectNothing()
	}
}

func TestMaxStreams(t *testing.T) {
	s := newService(t, &Streaming{MaxStreams: 2})
	a, b := s.connect(), s.connect()
	a.start("one")
	b.start("two")
	refused := refusal(CodeTooManyStreams, "there are too many streams")
	b.send(`2["stream:start",{"streamId":"three"}]`)
	b.expect(refused)
	a.send(`25["stream:start",{"streamId":"three"}]`)
	a.expect(refusedAck(5, CodeTooManyStreams, "there are too many streams"))
	a.expect(refused)
	// Those there are may start again, and the end of one makes room.
	a.start("one")
	a.send(`2["stream:stop",{"streamId":"one"}]`)
	a.expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	b.start("three")
	b.close()
	eventually(t, "the streams of one that has gone to end", func() bool { return len(s.streamsOf().snapshot()) == 0 })
	a.expect(`2["stream:stopped",{"status":"ok","streamId":"two","reason":"the owner has disconnected"}]`)
	a.expect(`2["stream:stopped",{"status":"ok","streamId":"three","reason":"the owner has disconnected"}]`)
	a.start("four")
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
	s := newService(t, &Streaming{})
	c := s.connect()
	for i := range maxJoined {
		c.send(fmt.Sprintf(`2["stream:join",{"streamId":"%d"}]`, i))
	}
	c.send(`21["stream:join",{"streamId":"one too many"}]`)
	c.expect(refusedAck(1, CodeTooManyStreams, "the client has joined too many streams"))
	c.expect(refusal(CodeTooManyStreams, "the client has joined too many streams"))
	c.send(`2["stream:leave",{"streamId":"0"}]`)
	c.send(`22["stream:join",{"streamId":"one too many"}]`)
	c.expect(`32[{"success":true,"stream":{"streamId":"one too many","live":false,"viewers":1}}]`)
}

// An owner that disconnects stops its streams, and the audience hears of it.
func TestOwnerDisconnects(t *testing.T) {
	for _, test := range []struct {
		audience Audience
		all      bool
	}{{AudienceAll, true}, {AudienceSubscribers, false}} {
		for _, way := range []string{"vanishes", "leaves", "is disconnected"} {
			t.Run(string(test.audience)+"/"+way, func(t *testing.T) {
				s := newService(t, &Streaming{Audience: test.audience})
				owner, viewer, other := s.connect(), s.connect(), s.connect()
				owner.startWith("one", "header")
				owner.start("two")
				owner.start("stopped before")
				owner.send(`2["stream:stop",{"streamId":"stopped before"}]`)
				owner.expect(`2["stream:stopped",{"status":"ok","streamId":"stopped before"}]`)
				other.start("another's")
				viewer.join("one")
				switch way {
				case "vanishes":
					_ = owner.conn.Reset()
				case "leaves":
					owner.send("1")
				default:
					s.Of("/").To(owner.id).Disconnect(true)
				}
				expectPast(viewer, `2["stream:stopped",{"status":"ok","streamId":"one","reason":"the owner has disconnected"}]`)
				if test.all {
					expectPast(viewer, `2["stream:stopped",{"status":"ok","streamId":"two","reason":"the owner has disconnected"}]`)
					expectPast(other, `2["stream:stopped",{"status":"ok","streamId":"one","reason":"the owner has disconnected"}]`)
					expectPast(other, `2["stream:stopped",{"status":"ok","streamId":"two","reason":"the owner has disconnected"}]`)
				}
				eventually(t, "the streams to end", func() bool { return len(s.streamsOf().snapshot()) == 1 })
				other.expectNothing()
				table := s.streamsOf()
				table.mu.Lock()
				defer table.mu.Unlock()
				if len(table.owners) != 1 || table.replayBytes != 0 {
					t.Errorf("%d owners, %d bytes", len(table.owners), table.replayBytes)
				}
			})
		}
	}
}

// The options may change and streams go on: the state outlives the event set.
func TestOptionsChangeWhileStreamsGoOn(t *testing.T) {
	s := newService(t, &Streaming{})
	owner, viewer, other := s.connect(), s.connect(), s.connect()
	owner.startWith("one", "header")
	if err := s.Of("/").Use(&Streaming{Audience: AudienceSubscribers, MaxStreams: 1}); err != nil {
		t.Fatal(err)
	}
	if before := viewer.join("one"); len(before) != 1 || before[0].binary[0] != "header" {
		t.Errorf("got %v", before)
	}
	owner.send(`2["stream:data",{"streamId":"one"}]`)
	viewer.expect(`2["stream:data",{"streamId":"one"}]`)
	other.send(`2["stream:start",{"streamId":"two"}]`)
	other.expect(refusal(CodeTooManyStreams, "there are too many streams"))
	owner.close()
	expectPast(viewer, `2["stream:stopped",{"status":"ok","streamId":"one","reason":"the owner has disconnected"}]`)
	other.expectNothing()
}

func TestEventSetsThatHandleOneEvent(t *testing.T) {
	n := streaming.New(streaming.Options{}, nil).Of("/")
	for _, sets := range [][]streaming.EventSet{
		{&Streaming{}, &Streaming{}},
		{&Streaming{}, &Relay{Events: []string{"message"}}},
		{&Relay{Events: []string{"a", "b"}}, &Relay{Events: []string{"b"}}},
		{&Relay{Events: []string{"a", "a"}}},
		{&Relay{Events: []string{"disconnect"}}},
		{&Relay{Events: []string{""}}},
	} {
		if err := n.Use(sets...); err == nil {
			t.Errorf("%+v: no error", sets)
		}
	}
	if err := n.Use(&Streaming{}, &Relay{Events: []string{"chat"}}); err != nil {
		t.Error(err)
	}
}

// Who stops a stream that was never started is answered, and nobody else is.
func TestStopOfUnknownStreamIsToldToNobodyElse(t *testing.T) {
	s := newService(t, &Streaming{})
	c, viewer := s.connect(), s.connect()
	viewer.join("one")
	c.send(`2["stream:stop",{"streamId":"one"}]`)
	c.expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	viewer.expectNothing()
}
