package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// sessionsOf returns the sessions of the main namespace.
func (s *service) sessionsOf() *sessions { return streaming.State(s.Of("/"), newSessions) }

type sessionStats struct {
	Sessions, Empty, Clients, Contents, Chunks, Bytes, HistoryBytes int
}

// sessionStats reads the figures of the sessions.
func (s *service) sessionStats() (stats sessionStats) {
	for _, figure := range s.Metrics().Namespaces[0].Figures {
		value := int(figure.Value)
		switch figure.Figure {
		case sessionsFigure:
			stats.Sessions = value
		case emptySessionsFigure:
			stats.Empty = value
		case sessionClientsFigure:
			stats.Clients = value
		case sessionContentsFigure:
			stats.Contents = value
		case sessionChunksFigure:
			stats.Chunks = value
		case sessionBytesFigure:
			stats.Bytes = value
		case historyBytesFigure:
			stats.HistoryBytes = value
		}
	}
	return stats
}

// enters joins a session and returns the acknowledgement once it has come;
// what came before it is returned as well.
func (c *client) enters(session, name string, more ...string) (answer joinAnswer) {
	c.t.Helper()
	c.send(joinText(session, name, more...))
	answer, err := c.readAnswer()
	if err != nil {
		c.t.Fatal(err)
	}
	if !answer.Success {
		c.t.Fatalf("the join was refused: %+v", answer)
	}
	return answer
}

func joinText(session, name string, more ...string) string {
	return fmt.Sprintf(`299["join",{"sessionId":%q,"clientName":%q%s}]`, session, name, strings.Join(more, ""))
}

type joinAnswer struct {
	joined
	Code string
}

// readAnswer reads up to the acknowledgement of a join.
func (c *client) readAnswer() (answer joinAnswer, err error) {
	for {
		r, err := c.read()
		if err != nil {
			return answer, err
		}
		if text, ok := strings.CutPrefix(r.text, "399["); ok {
			return answer, json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &answer)
		}
	}
}

func joinedText(session, id, name string) string {
	return fmt.Sprintf(`2["client-joined",{"sessionId":%q,"clientId":%q,"clientName":%q}]`, session, id, name)
}

func leftText(session, id string) string {
	return fmt.Sprintf(`2["client-left",{"sessionId":%q,"clientId":%q}]`, session, id)
}

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
			s := newService(t, &Sessions{})
			other, witness, c := s.connect(), s.connect(), s.connect()
			other.enters("others", "other")
			witness.enters("room", "witness")
			c.enters("room", "ann")
			witness.expect(joinedText("room", c.id, "ann"))

			message := sessionCodes[test.code]
			if message == "" {
				t.Fatalf("code %q is not in the list", test.code)
			}
			c.send("2[" + test.event + "]")
			c.expect(refusal(test.code, message))
			c.send("27[" + test.event + "]")
			c.expect(refusedAck(7, test.code, message))
			c.expect(refusal(test.code, message))
			c.expectNothing()
			witness.expectNothing()
			other.expectNothing()

			c.send(`28["content",{"sessionId":"room","content":"still here"}]`)
			c.expect(`38[{"success":true}]`)
			witness.expect(`2["content",{"sessionId":"room","content":"still here"}]`)
			if got := s.sessionStats(); got.Sessions != 2 || got.Clients != 3 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSessionMembersHearOfEachOther(t *testing.T) {
	s := newService(t, &Sessions{})
	ann, ben, far := s.connect(), s.connect(), s.connect()
	far.enters("far", "far")

	answer := ann.enters("room", "Ann")
	if fmt.Sprint(answer.Clients) != fmt.Sprint([]sessionClient{{ann.id, "Ann"}}) || answer.Token == "" {
		t.Errorf("%+v", answer)
	}
	second := ben.enters("room", "Ben <&> \u00e9 \U0001f600")
	if fmt.Sprint(second.Clients) != fmt.Sprint([]sessionClient{{ann.id, "Ann"}, {ben.id, "Ben <&> \u00e9 \U0001f600"}}) {
		t.Errorf("%+v", second)
	}
	if r := ann.next(); !strings.HasPrefix(r.text, `2["client-joined",{"sessionId":"room","clientId":"`+ben.id) {
		t.Error(r)
	}

	// Joining again is answered the same, under the first name, and is news to nobody.
	if again := ann.enters("room", "Another"); fmt.Sprint(again.Clients) != fmt.Sprint(second.Clients) || again.Token != answer.Token {
		t.Errorf("%+v", again)
	}
	ben.expectNothing()

	ben.send(`25["leave",{"sessionId":"room"},null]`)
	ben.expect(`35[{"success":true}]`)
	ann.expect(leftText("room", ben.id))
	ben.send(`2["leave",{"sessionId":"room"}]`)
	ben.expect(refusal("not_in_session", sessionCodes["not_in_session"]))
	ben.close()
	ann.send(`2["content",{"sessionId":"room","content":1}]`)
	ann.expectNothing()
	far.expectNothing()
}

func TestSessionContentIsForwardedAsItCame(t *testing.T) {
	s := newService(t, &Sessions{})
	ann, ben, far := s.connect(), s.connect(), s.connect()
	far.enters("far", "far")
	ann.enters("one", "Ann")
	ann.enters("two", "Ann")
	ben.enters("one", "Ben")
	ben.enters("two", "Ben")
	ann.expect(joinedText("one", ben.id, "Ben"))
	ann.expect(joinedText("two", ben.id, "Ben"))

	for _, test := range []struct {
		sent, want received
	}{
		{received{`2["content",{"sessionId":"one","content":{"contentId":"c","n":1e2,"<":"\u00e9"},"data":"Hello"}]`, nil},
			received{`2["content",{"sessionId":"one","content":{"contentId":"c","n":1e2,"<":"\u00e9"},"data":"Hello"}]`, nil}},
		{received{`2["content",{"data":null,"content":"x","sessionId":"two"}]`, nil},
			received{`2["content",{"sessionId":"two","content":"x","data":null}]`, nil}},
		// What the contract does not name stays here: tokens above all.
		{received{`2["content",{"sessionId":"one","content":[],"token":"secret","clientId":"forged"}]`, nil},
			received{`2["content",{"sessionId":"one","content":[]}]`, nil}},
		{received{`52-["content",{"token":` + placeholder0 + `,"sessionId":"one","content":{"a":{"_placeholder":true,"num":1}}}]`, []string{"secret", "\xff\x00"}},
			received{`51-["content",{"sessionId":"one","content":{"a":` + placeholder0 + `}}]`, []string{"\xff\x00"}}},
		{received{`52-["content",{"sessionId":"one","data":` + placeholder0 + `,"content":{"num":7,"_placeholder":false,"thumb":{"num":1,"_placeholder":true,"x":[]}}}]`, []string{"data", "thumb"}},
			received{`52-["content",{"sessionId":"one","content":{"num":7,"_placeholder":false,"thumb":` + placeholder0 + `},"data":{"_placeholder":true,"num":1}}]`, []string{"thumb", "data"}}},
		{received{`52-["chunk",{"sessionId":"one","token":"t","chunk":{"contentId":"c","chunkIndex":0,"totalChunks":2,"encryptedData":` + placeholder0 + `,"iv":{"_placeholder":true,"num":1}}}]`, []string{"cipher", "iv"}},
			received{`52-["chunk",{"sessionId":"one","chunk":{"contentId":"c","chunkIndex":0,"totalChunks":2,"encryptedData":` + placeholder0 + `,"iv":{"_placeholder":true,"num":1}}}]`, []string{"cipher", "iv"}}},
		{received{`2["chunk",{"sessionId":"one","chunk":{"contentId":"c","chunkIndex":1,"totalChunks":2,"encryptedData":[0,255],"iv":"AAAA"}}]`, nil},
			received{`2["chunk",{"sessionId":"one","chunk":{"contentId":"c","chunkIndex":1,"totalChunks":2,"encryptedData":[0,255],"iv":"AAAA"}}]`, nil}},
	} {
		ann.send(test.sent.text, test.sent.binary...)
		ben.expect(test.want.text, test.want.binary...)
	}
	// One attachment in two places, as no client sends it.
	ann.send(`52-["content",{"sessionId":"one","content":[`+placeholder0+`,`+placeholder0+`]}]`, "one", "two")
	ann.expect(refusal("invalid_content", sessionCodes["invalid_content"]))
	ann.expectNothing()
	ben.expectNothing()
	far.expectNothing()
	if got := s.sessionStats(); got.Contents != 5 || got.Chunks != 2 || got.Bytes == 0 {
		t.Errorf("%+v", got)
	}
}

func TestChunksKeepTheirTotal(t *testing.T) {
	s := newService(t, &Sessions{})
	c := s.connect()
	c.enters("room", "Ann")
	c.enters("other", "Ann")
	send := func(session, content string, index, total int, code string) {
		t.Helper()
		c.send(fmt.Sprintf(`21["chunk",{"sessionId":%q,"chunk":{"contentId":%q,"chunkIndex":%d,"totalChunks":%d,"encryptedData":"x","iv":""}}]`, session, content, index, total))
		if code == "" {
			c.expect(`31[{"success":true}]`)
			return
		}
		c.expect(refusedAck(1, code, sessionCodes[code]))
		c.expect(refusal(code, sessionCodes[code]))
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
	c.send(`21["leave",{"sessionId":"room"}]`)
	c.expect(`31[{"success":true}]`)
	c.enters("room", "Ann")
	send("room", fmt.Sprint("many ", 2*maxOpenContents-1), 1, 8, "")
}

func TestSessionBounds(t *testing.T) {
	s := newService(t, &Sessions{MaxClients: 2, MaxSessions: 3, Timeout: time.Hour})
	ann, ben, cem := s.connect(), s.connect(), s.connect()
	refused := func(c *client, session, code string) {
		t.Helper()
		c.send(joinText(session, "X"))
		c.expect(refusedAck(99, code, sessionCodes[code]))
		c.expect(refusal(code, sessionCodes[code]))
	}
	ann.enters("a", "Ann")
	ben.enters("a", "Ben")
	refused(cem, "a", "session_full")
	ben.enters("b", "Ben")
	cem.enters("c", "Cem")
	refused(cem, "d", "too_many_sessions")
	// The empty one that was left first gives way.
	cem.send(`21["leave",{"sessionId":"c"}]`)
	cem.expect(`31[{"success":true}]`)
	eventually(t, "c is left", func() bool { return s.sessionStats().Empty == 1 })
	ben.send(`21["leave",{"sessionId":"b"}]`)
	eventually(t, "b is left", func() bool { return s.sessionStats().Empty == 2 })
	cem.enters("d", "Cem")
	if s.sessionsOf().has("c") || !s.sessionsOf().has("a") || !s.sessionsOf().has("d") {
		t.Error("the wrong session was removed")
	}
	ann.enters("e", "Ann")
	refused(ann, "f", "too_many_sessions")

	if err := s.Of("/").Use(&Sessions{MaxSessions: 1000}); err != nil {
		t.Fatal(err)
	}
	for i := range maxJoinedSessions {
		ben.enters(fmt.Sprint("many ", i), "Ben")
		if i == maxJoinedSessions-2 {
			break // and "a"
		}
	}
	refused(ben, "one more", "too_many_joined")
}

func (t *sessions) has(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id] != nil
}

func TestEmptySessionsAreRemoved(t *testing.T) {
	for _, timeout := range []time.Duration{0, 20 * time.Millisecond} {
		t.Run(timeout.String(), func(t *testing.T) {
			s := newService(t, &Sessions{Timeout: timeout, History: 10, Fingerprint: FingerprintFirst})
			for range 20 {
				c := s.connect()
				for i := range 10 {
					id := fmt.Sprint("room ", i)
					token := c.enters(id, "Ann", `,"fingerprint":"f"`).Token
					c.send(fmt.Sprintf(`2["content",{"sessionId":%q,"content":"x","token":%q}]`, id, token))
				}
				c.close()
				eventually(t, "nobody is there", func() bool { return s.sessionStats().Clients == 0 })
			}
			eventually(t, "no session is there", func() bool {
				stats := s.sessionStats()
				return stats.Sessions == 0 && stats.Empty == 0 && stats.HistoryBytes == 0
			})
			table := s.sessionsOf()
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
	s := newService(t, &Sessions{})
	ann, ben := s.connect(), s.connect()
	ann.enters("room", "Ann")
	ben.enters("room", "Ben")
	ann.expect(joinedText("room", ben.id, "Ben"))
	if err := s.Of("/").Use(&Relay{Events: []string{"chat"}}); err != nil {
		t.Fatal(err)
	}
	ben.close()
	eventually(t, "ben is gone", func() bool { return s.Connections() == 1 })
	if err := s.Of("/").Use(&Sessions{MaxClients: 1}); err != nil {
		t.Fatal(err)
	}
	ann.expect(leftText("room", ben.id))
	cem := s.connect()
	cem.send(joinText("room", "Cem"))
	cem.expect(refusedAck(99, "session_full", sessionCodes["session_full"]))
}
