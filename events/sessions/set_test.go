package sessions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/events/relay"
)

func TestSessionRefusesBadInput(t *testing.T) {
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	many := strings.TrimSuffix(strings.Repeat(`{"event":"leave","data":{"sessionId":"room"}},`, 10_000), ",")
	chunk := func(fields string) string { return `"chunk",{"sessionId":"room","chunk":{` + fields + `}}` }
	const rest = `"contentId":"c","encryptedData":"x","iv":"y",`
	for _, test := range []struct {
		name string
		// event is the packet without its brackets.
		event string
		code  string
	}{
		{"join without anything", `"join"`, "invalid_arguments"},
		{"join of null", `"join",null`, "invalid_arguments"},
		{"join of text", `"join","room"`, "invalid_arguments"},
		{"join of a list", `"join",["room"]`, "invalid_arguments"},
		{"callback that is no function", `"join",{"sessionId":"x","clientName":"ann"},"callback"`, "invalid_arguments"},
		{"callback that is an object", `"leave",{"sessionId":"room"},{}`, "invalid_arguments"},
		{"join without session", `"join",{"clientName":"ann"}`, "invalid_session_id"},
		{"session number", `"join",{"sessionId":7,"clientName":"ann"}`, "invalid_session_id"},
		{"session null", `"join",{"sessionId":null,"clientName":"ann"}`, "invalid_session_id"},
		{"session object", `"join",{"sessionId":{},"clientName":"ann"}`, "invalid_session_id"},
		{"session empty", `"join",{"sessionId":"","clientName":"ann"}`, "invalid_session_id"},
		{"session control", `"join",{"sessionId":"a\nb","clientName":"ann"}`, "invalid_session_id"},
		{"session long", `"join",{"sessionId":"` + strings.Repeat("x", 257) + `","clientName":"ann"}`, "invalid_session_id"},
		{"session of another case", `"join",{"SESSIONID":"x","clientName":"ann"}`, "invalid_session_id"},
		{"join without name", `"join",{"sessionId":"x"}`, "invalid_client_name"},
		{"name number", `"join",{"sessionId":"x","clientName":7}`, "invalid_client_name"},
		{"name empty", `"join",{"sessionId":"x","clientName":""}`, "invalid_client_name"},
		{"name blank", `"join",{"sessionId":"x","clientName":" \u00a0 "}`, "invalid_client_name"},
		{"name control", `"join",{"sessionId":"x","clientName":"a\u0000b"}`, "invalid_client_name"},
		{"name line separator", `"join",{"sessionId":"x","clientName":"a\u2028b"}`, "invalid_client_name"},
		{"name that turns direction", `"join",{"sessionId":"x","clientName":"a\u202eb"}`, "invalid_client_name"},
		{"name long", `"join",{"sessionId":"x","clientName":"` + strings.Repeat("é", 129) + `"}`, "invalid_client_name"},
		{"leave nowhere", `"leave",{"sessionId":"elsewhere"}`, "not_in_session"},
		{"leave without session", `"leave",{}`, "invalid_session_id"},
		{"content to an unknown session", `"content",{"sessionId":"elsewhere","content":{}}`, "not_in_session"},
		{"content to the session of others", `"content",{"sessionId":"others","content":{}}`, "not_in_session"},
		{"content without anything", `"content"`, "invalid_arguments"},
		{"content without content", `"content",{"sessionId":"room","data":"x"}`, "invalid_content"},
		{"content null", `"content",{"sessionId":"room","content":null}`, "invalid_content"},
		{"forged placeholder", `"content",{"sessionId":"room","content":{"_placeholder":true,"num":0}}`, "invalid_content"},
		{"forged placeholder, escaped", `"content",{"sessionId":"room","content":{},"data":[{"\u005fplaceholder":true,"num":0}]}`, "invalid_content"},
		{"chunk to the session of others", `"chunk",{"sessionId":"others","chunk":{}}`, "not_in_session"},
		{"chunk missing", `"chunk",{"sessionId":"room"}`, "invalid_chunk"},
		{"chunk text", `"chunk",{"sessionId":"room","chunk":"x"}`, "invalid_chunk"},
		{"chunk deep", `"chunk",{"sessionId":"room","chunk":` + deep + `}`, "invalid_chunk"},
		{"chunk empty", chunk(``), "invalid_chunk"},
		{"chunk beyond its total", chunk(rest + `"chunkIndex":3,"totalChunks":3`), "invalid_chunk"},
		{"chunk of none", chunk(rest + `"chunkIndex":0,"totalChunks":0`), "invalid_chunk"},
		{"chunk negative", chunk(rest + `"chunkIndex":-1,"totalChunks":3`), "invalid_chunk"},
		{"chunk fraction", chunk(rest + `"chunkIndex":0.5,"totalChunks":3`), "invalid_chunk"},
		{"chunk exponent", chunk(rest + `"chunkIndex":0,"totalChunks":1e3`), "invalid_chunk"},
		{"chunk text index", chunk(rest + `"chunkIndex":"0","totalChunks":3`), "invalid_chunk"},
		{"chunk total huge", chunk(rest + `"chunkIndex":0,"totalChunks":99999999999999999999`), "invalid_chunk"},
		{"chunk total beyond the bound", chunk(rest + `"chunkIndex":0,"totalChunks":16777217`), "invalid_chunk"},
		{"chunk without id", chunk(`"chunkIndex":0,"totalChunks":3,"encryptedData":"x","iv":"y"`), "invalid_chunk"},
		{"chunk id number", chunk(`"contentId":5,"chunkIndex":0,"totalChunks":3,"encryptedData":"x","iv":"y"`), "invalid_chunk"},
		{"chunk id long", chunk(`"contentId":"` + strings.Repeat("x", 257) + `","chunkIndex":0,"totalChunks":3,"encryptedData":"x","iv":"y"`), "invalid_chunk"},
		{"chunk data number", chunk(`"contentId":"c","chunkIndex":0,"totalChunks":3,"encryptedData":7,"iv":"y"`), "invalid_chunk"},
		{"chunk data missing", chunk(`"contentId":"c","chunkIndex":0,"totalChunks":3,"iv":"y"`), "invalid_chunk"},
		{"chunk data not bytes", chunk(`"contentId":"c","chunkIndex":0,"totalChunks":3,"encryptedData":[256],"iv":"y"`), "invalid_chunk"},
		{"chunk iv missing", chunk(`"contentId":"c","chunkIndex":0,"totalChunks":3,"encryptedData":"x"`), "invalid_chunk"},
		{"chunk iv long", chunk(`"contentId":"c","chunkIndex":0,"totalChunks":3,"encryptedData":"x","iv":"` + strings.Repeat("y", 65) + `"`), "invalid_chunk"},
		{"batch without anything", `"batch"`, "invalid_batch"},
		{"batch object", `"batch",{"event":"leave"}`, "invalid_batch"},
		{"batch of 10,000", `"batch",[` + many + `]`, "batch_too_large"},
		{"unknown event", `"shout",{"sessionId":"room"}`, "unknown_event"},
		{"event of the server", `"client-left",{"sessionId":"room","clientId":"x"}`, "unknown_event"},
		{"event of the prototype", `"__proto__",{}`, "unknown_event"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, &Set{})
			other, witness, c := s.Connect(), s.Connect(), s.Connect()
			other.enters("others", "other")
			witness.enters("room", "witness")
			c.enters("room", "ann")
			witness.Expect(joinedText("room", c.ID, "ann"))

			message := messages[test.code]
			if message == "" {
				t.Fatalf("code %q is not in the list", test.code)
			}
			c.Send("2[" + test.event + "]")
			c.Expect(eventstest.Refusal(test.code, message))
			c.Send("27[" + test.event + "]")
			c.Expect(eventstest.RefusedAck(7, test.code, message))
			c.Expect(eventstest.Refusal(test.code, message))
			c.ExpectNothing()
			witness.ExpectNothing()
			other.ExpectNothing()

			c.Send(`28["content",{"sessionId":"room","content":"still here"}]`)
			c.Expect(`38[{"success":true}]`)
			witness.Expect(contentText("room", c.ID, `"content":"still here"`))
			if got := s.stats(); got.Sessions != 2 || got.Clients != 3 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSessionMembersHearOfEachOther(t *testing.T) {
	s := newServer(t, &Set{})
	ann, ben, far := s.Connect(), s.Connect(), s.Connect()
	far.enters("far", "far")

	answer := ann.enters("room", "Ann")
	if fmt.Sprint(answer.Clients) != fmt.Sprint([]clientInfo{{ann.ID, "Ann"}}) || answer.Token == "" {
		t.Errorf("%+v", answer)
	}
	second := ben.enters("room", "Ben <&> \u00e9 \U0001f600")
	if fmt.Sprint(second.Clients) != fmt.Sprint([]clientInfo{{ann.ID, "Ann"}, {ben.ID, "Ben <&> \u00e9 \U0001f600"}}) {
		t.Errorf("%+v", second)
	}
	if r := ann.Next(); !strings.HasPrefix(r.Text, `2["client-joined",{"sessionId":"room","clientId":"`+ben.ID) {
		t.Error(r)
	}

	// Joining again is answered the same, under the first name, and is news to nobody.
	if again := ann.enters("room", "Another"); fmt.Sprint(again.Clients) != fmt.Sprint(second.Clients) || again.Token != answer.Token {
		t.Errorf("%+v", again)
	}
	ann.ExpectNothing()
	ben.ExpectNothing()

	ben.Send(`25["leave",{"sessionId":"room"},null]`)
	ben.Expect(`35[{"success":true}]`)
	ann.Expect(leftText("room", ben.ID))
	ben.Send(`2["leave",{"sessionId":"room"}]`)
	ben.Expect(eventstest.Refusal("not_in_session", messages["not_in_session"]))
	ben.Close()
	ann.Send(`2["content",{"sessionId":"room","content":1}]`)
	ann.ExpectNothing()
	far.ExpectNothing()
}

func TestSessionContentIsForwardedAsItCame(t *testing.T) {
	s := newServer(t, &Set{})
	ann, ben, far := s.Connect(), s.Connect(), s.Connect()
	far.enters("far", "far")
	ann.enters("one", "Ann")
	ann.enters("two", "Ann")
	ben.enters("one", "Ben")
	ben.enters("two", "Ben")
	ann.Expect(joinedText("one", ben.ID, "Ben"))
	ann.Expect(joinedText("two", ben.ID, "Ben"))

	for _, test := range []struct {
		sent, want eventstest.Packet
	}{
		{eventstest.Packet{Text: `2["content",{"sessionId":"one","content":{"contentId":"c","n":1e2,"<":"\u00e9"},"data":"Hello"}]`},
			eventstest.Packet{Text: `2["content",{"sessionId":"one","content":{"contentId":"c","n":1e2,"<":"\u00e9"},"data":"Hello"}]`}},
		{eventstest.Packet{Text: `2["content",{"data":null,"content":"x","sessionId":"two"}]`},
			eventstest.Packet{Text: `2["content",{"sessionId":"two","content":"x","data":null}]`}},
		// What the contract does not name stays here: tokens above all.
		{eventstest.Packet{Text: `2["content",{"sessionId":"one","content":[],"token":"secret","clientId":"forged"}]`},
			eventstest.Packet{Text: `2["content",{"sessionId":"one","content":[]}]`}},
		{eventstest.Packet{Text: `52-["content",{"token":` + placeholder0 + `,"sessionId":"one","content":{"a":{"_placeholder":true,"num":1}}}]`, Binary: []string{"secret", "\xff\x00"}},
			eventstest.Packet{Text: `51-["content",{"sessionId":"one","content":{"a":` + placeholder0 + `}}]`, Binary: []string{"\xff\x00"}}},
		{eventstest.Packet{Text: `52-["content",{"sessionId":"one","data":` + placeholder0 + `,"content":{"num":7,"_placeholder":false,"thumb":{"num":1,"_placeholder":true,"x":[]}}}]`, Binary: []string{"data", "thumb"}},
			eventstest.Packet{Text: `52-["content",{"sessionId":"one","content":{"num":7,"_placeholder":false,"thumb":` + placeholder0 + `},"data":{"_placeholder":true,"num":1}}]`, Binary: []string{"thumb", "data"}}},
		{eventstest.Packet{Text: `52-["chunk",{"sessionId":"one","token":"t","chunk":{"contentId":"c","chunkIndex":0,"totalChunks":2,"encryptedData":` + placeholder0 + `,"iv":{"_placeholder":true,"num":1}}}]`, Binary: []string{"cipher", "iv"}},
			eventstest.Packet{Text: `52-["chunk",{"sessionId":"one","chunk":{"contentId":"c","chunkIndex":0,"totalChunks":2,"encryptedData":` + placeholder0 + `,"iv":{"_placeholder":true,"num":1}}}]`, Binary: []string{"cipher", "iv"}}},
		{eventstest.Packet{Text: `2["chunk",{"sessionId":"one","chunk":{"contentId":"c","chunkIndex":1,"totalChunks":2,"encryptedData":[0,255],"iv":"AAAA"}}]`},
			eventstest.Packet{Text: `2["chunk",{"sessionId":"one","chunk":{"contentId":"c","chunkIndex":1,"totalChunks":2,"encryptedData":[0,255],"iv":"AAAA"}}]`}},
	} {
		ann.Send(test.sent.Text, test.sent.Binary...)
		want := relayed(relayed(test.want.Text, "one", ann.ID), "two", ann.ID)
		ben.Expect(want, test.want.Binary...)
	}
	// One attachment in two places, as no client sends it.
	ann.Send(`52-["content",{"sessionId":"one","content":[`+placeholder0+`,`+placeholder0+`]}]`, "one", "two")
	ann.Expect(eventstest.Refusal("invalid_content", messages["invalid_content"]))
	ann.ExpectNothing()
	ben.ExpectNothing()
	far.ExpectNothing()
	if got := s.stats(); got.Contents != 5 || got.Chunks != 2 || got.Bytes == 0 {
		t.Errorf("%+v", got)
	}
}

func TestChunksKeepTheirTotal(t *testing.T) {
	s := newServer(t, &Set{})
	c := s.Connect()
	c.enters("room", "Ann")
	c.enters("other", "Ann")
	send := func(session, content string, index, total int, code string) {
		t.Helper()
		c.Send(fmt.Sprintf(`21["chunk",{"sessionId":%q,"chunk":{"contentId":%q,"chunkIndex":%d,"totalChunks":%d,"encryptedData":"x","iv":""}}]`, session, content, index, total))
		if code == "" {
			c.Expect(`31[{"success":true}]`)
			return
		}
		c.Expect(eventstest.RefusedAck(1, code, messages[code]))
		c.Expect(eventstest.Refusal(code, messages[code]))
	}
	// A transfer may begin anywhere: it goes on after a reconnect.
	send("room", "a", 500, 800, "")
	send("room", "a", 501, 801, "changed_total")
	send("room", "a", 501, 800, "")
	send("other", "a", 0, 3, "")
	send("room", "b", 0, 1, "")
	send("room", "b", 0, 2, "")
	// The last one ends it.
	send("room", "a", 799, 800, "")
	send("room", "a", 0, 5, "")
	// What is known is bounded, and the oldest is forgotten.
	for i := range 2 * maxOpenContents {
		send("room", fmt.Sprint("many ", i), 0, 9, "")
	}
	send("room", "a", 0, 6, "")
	send("room", fmt.Sprint("many ", 2*maxOpenContents-1), 1, 8, "changed_total")
	// So is all of a session that is left.
	c.Send(`21["leave",{"sessionId":"room"}]`)
	c.Expect(`31[{"success":true}]`)
	c.enters("room", "Ann")
	send("room", fmt.Sprint("many ", 2*maxOpenContents-1), 1, 8, "")
}

func TestSessionBounds(t *testing.T) {
	s := newServer(t, &Set{MaxClients: 2, MaxSessions: 5, Timeout: time.Hour})
	ann, ben, cem := s.Connect(), s.Connect(), s.Connect()
	refused := func(c *client, session, code string) {
		t.Helper()
		c.Send(joinText(session, "X"))
		c.Expect(eventstest.RefusedAck(99, code, messages[code]))
		c.Expect(eventstest.Refusal(code, messages[code]))
	}
	ann.enters("a", "Ann")
	ben.enters("a", "Ben")
	refused(cem, "a", "session_full")
	ben.enters("b", "Ben")
	cem.enters("c", "Cem")
	// A client may make one of so few, and its address three.
	refused(cem, "d", "too_many_sessions")
	refused(s.Connect(), "d", "too_many_sessions")
	// The client's own empty one gives way.
	cem.Send(`21["leave",{"sessionId":"c"}]`)
	cem.Expect(`31[{"success":true}]`)
	eventstest.Eventually(t, "c is left", func() bool { return s.stats().Empty == 1 })
	ben.Send(`21["leave",{"sessionId":"b"}]`)
	ben.Expect(`31[{"success":true}]`)
	eventstest.Eventually(t, "b is left", func() bool { return s.stats().Empty == 2 })
	cem.enters("d", "Cem")
	if s.table().has("c") || !s.table().has("a") || !s.table().has("b") || !s.table().has("d") {
		t.Error("the wrong session was removed")
	}
	// Without one of its own, it is that of the address which was left first.
	s.Connect().enters("e", "Eve")
	if s.table().has("b") || !s.table().has("a") || !s.table().has("d") {
		t.Error("the wrong session was removed")
	}
	refused(s.Connect(), "f", "too_many_sessions")

	if err := s.UseSets(&Set{Throttle: manyJoins}); err != nil {
		t.Fatal(err)
	}
	for i := range maxJoined {
		ben.enters(fmt.Sprint("many ", i), "Ben")
		if i == maxJoined-2 {
			break // and "a"
		}
	}
	refused(ben, "one more", "too_many_joined")
}

func (t *table) has(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id] != nil
}

func TestEmptySessionsAreRemoved(t *testing.T) {
	for _, timeout := range []time.Duration{0, 20 * time.Millisecond} {
		t.Run(timeout.String(), func(t *testing.T) {
			s := newServer(t, &Set{Timeout: timeout, History: 10, Fingerprint: FingerprintFirst})
			for range 20 {
				c := s.Connect()
				for i := range 10 {
					id := fmt.Sprint("room ", i)
					token := c.enters(id, "Ann", `,"fingerprint":"f"`).Token
					c.Send(fmt.Sprintf(`2["content",{"sessionId":%q,"content":"x","token":%q}]`, id, token))
				}
				c.Close()
				eventstest.Eventually(t, "nobody is there", func() bool { return s.stats().Clients == 0 })
			}
			eventstest.Eventually(t, "no session is there", func() bool {
				stats := s.stats()
				return stats.Sessions == 0 && stats.Empty == 0 && stats.HistoryBytes == 0
			})
			table := s.table()
			table.mu.Lock()
			defer table.mu.Unlock()
			if len(table.participants) > 0 {
				t.Errorf("%d participants are left", len(table.participants))
			}
		})
	}
}

// An event set that was taken away and comes back finds who is gone by then.
func TestSessionsOutliveTheirEventSet(t *testing.T) {
	s := newServer(t, &Set{})
	ann, ben := s.Connect(), s.Connect()
	ann.enters("room", "Ann")
	ben.enters("room", "Ben")
	ann.Expect(joinedText("room", ben.ID, "Ben"))
	if err := s.UseSets(&relay.Set{Events: []string{"chat"}}); err != nil {
		t.Fatal(err)
	}
	ben.Close()
	eventstest.Eventually(t, "ben is gone", func() bool { return s.Connections() == 1 })
	if err := s.UseSets(&Set{MaxClients: 1}); err != nil {
		t.Fatal(err)
	}
	ann.Expect(leftText("room", ben.ID))
	cem := s.Connect()
	cem.Send(joinText("room", "Cem"))
	cem.Expect(eventstest.RefusedAck(99, "session_full", messages["session_full"]))
}
