package sessions

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

func TestHistoryIsReplayedInOrderBeforeAnythingLive(t *testing.T) {
	s := newServer(t, &Set{History: 3, HistorySize: 1000, Timeout: time.Hour})
	ann := s.Connect()
	ann.enters("room", "Ann")
	share := func(text string, binary ...string) {
		t.Helper()
		ann.Send(text, binary...)
		// It has been handled when what comes after it is answered.
		ann.Send(`21["batch",[]]`)
		ann.Expect(`31[{"success":true,"results":[]}]`)
	}
	const third = `51-["content",{"sessionId":"room","content":3,"data":` + placeholder0 + `}]`
	share(`2["content",{"sessionId":"room","content":1}]`)
	share(`2["content",{"sessionId":"room","content":2}]`)
	share(third, "\x00binary\xff")
	share(`2["content",{"sessionId":"room","content":4,"token":"secret"}]`)
	// What is too large, or better lost than late, is not kept; nor are chunks.
	share(`2["content",{"sessionId":"room","content":5,"data":"` + strings.Repeat("x", 1000) + `"}]`)
	share(`2["content",{"sessionId":"room","content":6,"volatile":true}]`)
	share(`2["chunk",{"sessionId":"room","chunk":{"contentId":"c","chunkIndex":0,"totalChunks":2,"encryptedData":"x","iv":""}}]`)

	late := s.Connect()
	expectHistory := func(c *client) {
		t.Helper()
		c.Expect(contentText("room", ann.ID, `"content":2`))
		c.Expect(relayed(third, "room", ann.ID), "\x00binary\xff")
		c.Expect(contentText("room", ann.ID, `"content":4`))
		c.ExpectNothing()
	}
	late.enters("room", "Late")
	expectHistory(late)
	ann.Expect(joinedText("room", late.ID, "Late"))
	// Not again for who is there already.
	late.enters("room", "Late")
	late.ExpectNothing()

	// It outlasts the last client.
	late.Close()
	ann.Expect(leftText("room", late.ID))
	ann.Send(`21["leave",{"sessionId":"room"}]`)
	ann.Expect(`31[{"success":true}]`)
	eventstest.Eventually(t, "the session is empty", func() bool { return s.stats().Empty == 1 })
	ann.enters("room", "Ann")
	expectHistory(ann)

	// Bytes count as well: the oldest goes first.
	share(`2["content",{"sessionId":"room","content":7,"data":"` + strings.Repeat("x", 890) + `"}]`)
	if bytes := s.stats().HistoryBytes; bytes > 1000 {
		t.Errorf("%d bytes are kept", bytes)
	}
	later := s.Connect()
	later.enters("room", "Later")
	if r := later.Next(); !strings.Contains(r.Text, `"content":7,`) {
		t.Error(r)
	}
	later.ExpectNothing()
}

// A joiner must not be cut off by what it has missed.
func TestHistoryLeavesRoomInTheSendBuffer(t *testing.T) {
	s := newServer(t, &Set{History: 100, HistorySize: 100 << 20})
	ann := s.Connect()
	ann.enters("room", "Ann")
	for i := range 12 {
		ann.Send(fmt.Sprintf(`21["content",{"sessionId":"room","content":%d,"data":%q}]`, i, strings.Repeat("x", 500_000)))
		ann.Expect(`31[{"success":true}]`)
	}
	late := s.Connect()
	late.enters("room", "Late")
	for i := 12 - 3; i < 12; i++ { // of 4 MB, less than half
		if r := late.Next(); !strings.Contains(r.Text, fmt.Sprintf(`"content":%d,`, i)) {
			t.Fatalf("want content %d, got %.60s", i, r)
		}
	}
	late.ExpectNothing()
}

func TestHistoryOfAllSessionsIsBounded(t *testing.T) {
	all := newHistories()
	content, err := packet.NewArgs(strings.Repeat("x", 1<<17))
	if err != nil {
		t.Fatal(err)
	}
	var histories [30]history
	for i := range 20_000 {
		address := i / 30 % 20
		who := share.Client{ID: i % 600, Address: netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", address))}
		all.add(&histories[i%30], who, content, 1000, 1<<30)
		if bytes := all.size(); bytes > maxHistoryBytes {
			t.Fatalf("%d bytes are kept", bytes)
		}
	}
	if bytes := all.size(); bytes < maxHistoryBytes/2 {
		t.Errorf("no more than %d bytes are kept", bytes)
	}
	for i := range histories {
		all.clear(&histories[i])
	}
	if bytes := all.size(); bytes != 0 || all.shares.Held() != 0 {
		t.Errorf("%d bytes are left", bytes)
	}
}

// Joiners come while numbered content is shared: each gets all that the
// history still has, and then everything without a gap or a repetition.
func TestJoinersMissNothingBetweenHistoryAndLive(t *testing.T) {
	const joiners, contents = 20, 300
	s := newServer(t, &Set{History: contents, HistorySize: 1 << 20})
	ann := s.Connect()
	ann.enters("room", "Ann")
	done := make(chan error, joiners+1)
	go func() {
		for i := range contents {
			if err := ann.TrySend(fmt.Sprintf(`2["content",{"sessionId":"room","content":%d}]`, i)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range joiners {
		c := s.Connect()
		c.Send(joinText("room", "Late"))
		go func() { done <- checkContents(c, ann.ID, contents) }()
	}
	for range joiners + 1 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func checkContents(c *client, sender string, contents int) error {
	if _, err := c.readAnswer(); err != nil {
		return err
	}
	for want := 0; want < contents; {
		r, err := c.Read()
		if err != nil {
			return fmt.Errorf("before content %d: %w", want, err)
		}
		if !strings.HasPrefix(r.Text, `2["content",`) {
			continue
		}
		if r.Text != contentText("room", sender, fmt.Sprintf(`"content":%d`, want)) {
			return fmt.Errorf("want content %d, got %v", want, r)
		}
		want++
	}
	return nil
}

func TestFingerprintOfTheFirstIsTheKey(t *testing.T) {
	s := newServer(t, &Set{Fingerprint: FingerprintFirst, Timeout: time.Hour})
	refused := func(c *client, code, more string, binary ...string) {
		t.Helper()
		head := "2"
		if len(binary) > 0 {
			head = fmt.Sprintf("5%d-", len(binary))
		}
		c.Send(head+`9["join",{"sessionId":"room","clientName":"X"`+more+`}]`, binary...)
		c.Expect(eventstest.RefusedAck(9, code, messages[code]))
		c.Expect(eventstest.Refusal(code, messages[code]))
	}
	ann, ben := s.Connect(), s.Connect()
	for _, bad := range []string{``, `,"fingerprint":null`, `,"fingerprint":""`, `,"fingerprint":7`, `,"fingerprint":true`, `,"fingerprint":{}`, `,"fingerprint":[ ]`,
		`,"fingerprint":"` + strings.Repeat("x", 1025) + `"`, `,"fingerprint":{"a":"` + strings.Repeat("x", 1025) + `"}`} {
		refused(ann, "invalid_fingerprint", bad)
	}
	refused(ann, "invalid_fingerprint", `,"fingerprint":`+placeholder0, strings.Repeat("x", 1025))
	first := ann.enters("room", "Ann", `,"fingerprint":"abc"`)
	for _, wrong := range []string{`,"fingerprint":"abd"`, `,"fingerprint":"ab"`, `,"fingerprint":"abcd"`, `,"fingerprint":["abc"]`} {
		refused(ben, "wrong_fingerprint", wrong)
	}
	refused(ben, "wrong_fingerprint", `,"fingerprint":`+placeholder0, "abc")
	refused(ann, "wrong_fingerprint", `,"fingerprint":"abd"`) // also for who is there already
	second := ben.enters("room", "Ben", `,"fingerprint":"\u0061bc"`)
	ann.Expect(joinedText("room", ben.ID, "Ben"))
	if first.Token == second.Token {
		t.Error("two clients have one token")
	}

	const chunk = `"chunk":{"contentId":"c","chunkIndex":0,"totalChunks":1,"encryptedData":"x","iv":""}`
	for _, event := range []string{`"content",{"sessionId":"room","content":1`, `"chunk",{"sessionId":"room",` + chunk} {
		for _, token := range []string{``, `,"token":null`, `,"token":""`, `,"token":7`, fmt.Sprintf(`,"token":%q`, first.Token)} {
			ben.Send(`21[` + event + token + `}]`)
			ben.Expect(eventstest.RefusedAck(1, "invalid_token", messages["invalid_token"]))
			ben.Expect(eventstest.Refusal("invalid_token", messages["invalid_token"]))
		}
		ben.ExpectNothing()
		ann.ExpectNothing()
		ben.Send(`21[` + event + fmt.Sprintf(`,"token":%q`, second.Token) + `}]`)
		ben.Expect(`31[{"success":true}]`)
		ann.Expect(relayed(`2[`+event+`}]`, "room", ben.ID))
	}

	// The key outlasts the clients; who comes back gets a token of its own.
	ann.Close()
	ben.Close()
	eventstest.Eventually(t, "the session is empty", func() bool { return s.stats().Empty == 1 })
	back := s.Connect()
	refused(back, "wrong_fingerprint", `,"fingerprint":"other"`)
	if stats := s.stats(); stats.Empty != 1 || stats.Sessions != 1 {
		t.Errorf("%+v", stats)
	}
	if again := back.enters("room", "Ann", `,"fingerprint":"abc"`); again.Token == first.Token || again.Token == second.Token {
		t.Error("the token is an old one")
	}
}

func TestFingerprintMayBeAnyKindOfBytes(t *testing.T) {
	s := newServer(t, &Set{Fingerprint: FingerprintFirst})
	for i, test := range []struct {
		first, second   string
		binary, binary2 []string
		equal           bool
	}{
		{`{"iv":[1,2],"data":[3]}`, ` { "data" : [3] , "iv" : [1, 2] }`, nil, nil, true},
		{`{"iv":[1,2],"data":[3]}`, `{"iv":[1,2],"data":[4]}`, nil, nil, false},
		{placeholder0, placeholder0, []string{"abc"}, []string{"abc"}, true},
		{placeholder0, placeholder0, []string{"abc"}, []string{"abd"}, false},
		{`{"data":` + placeholder0 + `}`, `{"data":` + placeholder0 + `}`, []string{"abc"}, []string{"abc"}, true},
		{`{"data":` + placeholder0 + `}`, `{"data":` + placeholder0 + `}`, []string{"abc"}, []string{"abd"}, false},
	} {
		join := func(fingerprint string, binary []string) bool {
			c := s.Connect()
			head := "2"
			if len(binary) > 0 {
				head = "51-"
			}
			c.Send(head+fmt.Sprintf(`99["join",{"sessionId":"%d","clientName":"X","fingerprint":%s}]`, i, fingerprint), binary...)
			answer, err := c.readAnswer()
			if err != nil {
				t.Fatal(err)
			}
			return answer.Success
		}
		if !join(test.first, test.binary) {
			t.Fatalf("%s is refused", test.first)
		}
		if got := join(test.second, test.binary2); got != test.equal {
			t.Errorf("%s after %s: %t", test.second, test.first, got)
		}
	}
}

func TestThrottledEventsAreRefused(t *testing.T) {
	s := newServer(t, &Set{Throttle: []Throttle{{"content", 3, time.Hour}, {"join", 2, time.Hour}}})
	ann, ben := s.Connect(), s.Connect()
	ann.enters("room", "Ann")
	ben.enters("room", "Ben")
	ann.Expect(joinedText("room", ben.ID, "Ben"))
	for i := range 3 {
		ann.Send(fmt.Sprintf(`2["content",{"sessionId":"room","content":%d}]`, i))
		ben.Expect(contentText("room", ann.ID, fmt.Sprintf(`"content":%d`, i)))
	}
	ann.Send(`21["content",{"sessionId":"room","content":3}]`)
	ann.Expect(eventstest.RefusedAck(1, "throttled", messages["throttled"]))
	ann.Expect(eventstest.Refusal("throttled", messages["throttled"]))
	ann.Send(`2["content",{"sessionId":"room","content":3}]`)
	ann.Expect(eventstest.Refusal("throttled", messages["throttled"]))
	// What is better lost than late is lost without a word, unless one was asked for.
	ann.Send(`2["content",{"sessionId":"room","content":3,"volatile":true}]`)
	ann.ExpectNothing()
	ann.Send(`21["content",{"sessionId":"room","content":3,"volatile":true}]`)
	ann.Expect(eventstest.RefusedAck(1, "throttled", messages["throttled"]))
	ann.ExpectNothing()
	ben.ExpectNothing()
	// Other events and other clients are not slowed down.
	ann.Send(`21["leave",{"sessionId":"room"}]`)
	ann.Expect(`31[{"success":true}]`)
	ben.Expect(leftText("room", ann.ID))
	ann.enters("room", "Ann")
	ann.Send(joinText("another", "Ann"))
	ann.Expect(eventstest.RefusedAck(99, "throttled", messages["throttled"]))
	ann.Expect(eventstest.Refusal("throttled", messages["throttled"]))
	ben.Expect(joinedText("room", ann.ID, "Ann"))
	ben.Send(`2["content",{"sessionId":"room","content":"ben"}]`)
	ann.Expect(contentText("room", ben.ID, `"content":"ben"`))
	// A reload that changes the rate is heeded.
	if err := s.UseSets(&Set{Throttle: []Throttle{{"content", 4, time.Hour}}}); err != nil {
		t.Fatal(err)
	}
	ann.Send(`2["content",{"sessionId":"room","content":4}]`)
	ben.Expect(contentText("room", ann.ID, `"content":4`))
}

func TestUnknownEventsCannotBeThrottled(t *testing.T) {
	s := newServer(t)
	if err := s.UseSets(&Set{Throttle: []Throttle{{"shout", 1, time.Second}}}); err == nil {
		t.Error("accepted")
	}
}

func TestBatchIsHandledAsIfSentAlone(t *testing.T) {
	s := newServer(t, &Set{Batch: 8, Throttle: []Throttle{{"content", 4, time.Hour}}})
	ann, ben := s.Connect(), s.Connect()
	ben.enters("room", "Ben")
	ann.Send(`52-1["batch",[`+
		`{"event":"join","data":{"sessionId":"room","clientName":"Ann"}},`+
		`{"event":"content","data":{"sessionId":"room","content":1}},`+
		`{"event":"content","data":{"sessionId":"room","content":2,"data":{"_placeholder":true,"num":1}}},`+
		`{"event":"content","data":{"sessionId":"nowhere","content":{"_placeholder":true,"num":0}}},`+
		`{"event":"batch","data":[]},`+
		`{"event":"shout","data":{}},`+
		`{"event":"content"},`+
		`"content"]]`, "unseen", "second")
	ben.Expect(joinedText("room", ann.ID, "Ann"))
	ben.Expect(contentText("room", ann.ID, `"content":1`))
	ben.Expect(relayed(`51-["content",{"sessionId":"room","content":2,"data":`+placeholder0+`}]`, "room", ann.ID), "second")
	codes := []string{"not_in_session", "nested_batch", "unknown_event", "invalid_arguments", "invalid_batch"}
	results := ""
	for _, code := range codes {
		ann.Expect(eventstest.Refusal(code, messages[code]))
		results += "," + strings.TrimSuffix(strings.TrimPrefix(eventstest.RefusedAck(0, code, messages[code]), "30["), "]")
	}
	answer := ann.Next()
	prefix := fmt.Sprintf(`31[{"success":true,"results":[{"success":true,"clients":[{"id":%q,"name":"Ben"},{"id":%q,"name":"Ann"}],"token":"`, ben.ID, ann.ID)
	if !strings.HasPrefix(answer.Text, prefix) || !strings.HasSuffix(answer.Text, `"},{"success":true},{"success":true}`+results+`]}]`) {
		t.Errorf("%v", answer)
	}
	ann.ExpectNothing()
	ben.ExpectNothing()

	// The entries count for the throttle of their event, and order is kept.
	ann.Send(`2["batch",[{"event":"content","data":{"sessionId":"room","content":5}},{"event":"leave","data":{"sessionId":"room"}},{"event":"leave","data":{"sessionId":"room"}}]]`)
	ann.Expect(eventstest.Refusal("throttled", messages["throttled"]))
	ann.Expect(eventstest.Refusal("not_in_session", messages["not_in_session"]))
	ben.Expect(leftText("room", ann.ID))
	ann.ExpectNothing()
	ben.ExpectNothing()
	ann.Send(`21["batch",[]]`)
	ann.Expect(`31[{"success":true,"results":[]}]`)
	nine := strings.TrimSuffix(strings.Repeat(`{"event":"leave","data":{}},`, 9), ",")
	ann.Send(`21["batch",[` + nine + `]]`)
	ann.Expect(eventstest.RefusedAck(1, "batch_too_large", messages["batch_too_large"]))
	ann.Expect(eventstest.Refusal("batch_too_large", messages["batch_too_large"]))
	ann.ExpectNothing()
}
