package sessions

import (
	"testing"
	"time"
)

// A reload asks for fingerprints while clients are in a session that has none. Strangers do not get in
// before one of those who are in it has named one, and who is in it goes on.
func TestFingerprintThatIsTurnedOn(t *testing.T) {
	s := newServer(t, &Set{Timeout: time.Minute, History: 5})
	ann, ben := s.Connect(), s.Connect()
	token := ann.enters("room", "Ann").Token
	ben.enters("room", "Ben")
	ann.Expect(joinedText("room", ben.ID, "Ben"))
	ann.says(`"content",{"sessionId":"room","content":"minutes"}`)
	ben.Expect(contentText("room", ann.ID, `"content":"minutes"`))
	if err := s.UseSets(&Set{Timeout: time.Minute, History: 5, Fingerprint: FingerprintFirst}); err != nil {
		t.Fatal(err)
	}
	const right, wrong = `,"fingerprint":"right"`, `,"fingerprint":"wrong"`
	stranger := s.Connect()
	stranger.refused("no_fingerprint", "room", "Eve", wrong)
	stranger.ExpectNothing()

	ann.says(`"content",{"sessionId":"room","content":"go on"}`)
	ben.Expect(contentText("room", ann.ID, `"content":"go on"`))
	// A place is taken again by who has its token, with a fingerprint that is the session's from then on.
	back := s.Connect()
	back.enters("room", "Ann", right, withToken(token))
	back.Expect(contentText("room", ann.ID, `"content":"minutes"`))
	back.Expect(contentText("room", ann.ID, `"content":"go on"`))
	stranger.refused("wrong_fingerprint", "room", "Eve", wrong)
	ben.refused("wrong_fingerprint", "room", "Ben", wrong)
	ben.says(`"content",{"sessionId":"room","content":"still in"}`)
	back.Expect(contentText("room", ben.ID, `"content":"still in"`))
	bens := ben.enters("room", "Ben", right).Token
	// Who has named it needs its token.
	ben.Send(`2["content",{"sessionId":"room","content":"without"}]`)
	if r := ben.Next(); r.Text != `2["error",{"message":"`+messages["invalid_token"]+`","code":"invalid_token"}]` {
		t.Errorf("got %v", r)
	}
	ben.says(`"content",{"sessionId":"room","content":"with"` + withToken(bens) + `}`)
	back.Expect(contentText("room", ben.ID, `"content":"with"`))
	late := s.Connect()
	if got := late.enters("room", "Late", right); len(got.Clients) != 3 {
		t.Errorf("%+v", got)
	}
}

// A session that is empty when fingerprints are first asked for begins anew with whoever comes first,
// who gets nothing of what was shared before.
func TestFingerprintThatIsTurnedOnWhileNobodyIsIn(t *testing.T) {
	s := newServer(t, &Set{Timeout: time.Minute, History: 5})
	ann := s.Connect()
	ann.enters("room", "Ann")
	ann.says(`"content",{"sessionId":"room","content":"minutes"}`)
	ann.says(`"leave",{"sessionId":"room"}`)
	if err := s.UseSets(&Set{Timeout: time.Minute, History: 5, Fingerprint: FingerprintFirst}); err != nil {
		t.Fatal(err)
	}
	first := s.Connect()
	first.enters("room", "Eve", `,"fingerprint":"first"`)
	first.ExpectNothing()
	ann.refused("wrong_fingerprint", "room", "Ann", `,"fingerprint":"another"`)
}

// A member may name the fingerprint by joining once more, without leaving.
func TestMemberNamesTheFingerprintByJoiningAgain(t *testing.T) {
	s := newServer(t, &Set{})
	ann, ben := s.Connect(), s.Connect()
	ann.enters("room", "Ann")
	if err := s.UseSets(&Set{Fingerprint: FingerprintFirst}); err != nil {
		t.Fatal(err)
	}
	const key = `,"fingerprint":{"a":[1]}`
	ben.refused("no_fingerprint", "room", "Ben", key)
	ann.enters("room", "Ann", key)
	ben.enters("room", "Ben", key)
	ann.Expect(joinedText("room", ben.ID, "Ben"))
}

// TestGuessingAKeyIsThrottledAndCounted holds that joins that are refused count for the throttle, so that
// nobody can guess the key of a session faster, and that who watches the server sees them.
func TestGuessingAKeyIsThrottledAndCounted(t *testing.T) {
	s := newServer(t, &Set{Fingerprint: FingerprintFirst, Throttle: []Throttle{{"join", 2, time.Hour}}})
	ann, eve := s.Connect(), s.Connect()
	ann.enters("room", "Ann", `,"fingerprint":"right"`)
	eve.refused("wrong_fingerprint", "room", "Eve", `,"fingerprint":"a"`)
	eve.refused("wrong_fingerprint", "room", "Eve", `,"fingerprint":"b"`)
	eve.refused("throttled", "room", "Eve", `,"fingerprint":"right"`)
	eve.refused("throttled", "room", "Eve", `,"fingerprint":"right"`)
	refused := s.Metrics().Namespaces[0].RefusedEvents
	if refused.Of("wrong_fingerprint") != 2 || refused.Of("throttled") != 2 {
		t.Errorf("counted %v", refused)
	}
}
