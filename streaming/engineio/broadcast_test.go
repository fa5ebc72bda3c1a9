package engineio

import (
	"slices"
	"testing"
)

// TestBroadcastTellsWhoMissedIt leaves receivers out, and has one whose session
// is over.
func TestBroadcastTellsWhoMissedIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, first := s.connectPipe(t)
		_, over := s.connectPipe(t)
		over.session.Close(ReasonForcedClose)
		sessions := map[string]*Session{"first": first.session, "over": over.session}
		var missed []string
		Broadcast(text("x"), []string{"first", "nobody", "over"},
			func(name string) *Session { return sessions[name] },
			func(name string) { missed = append(missed, name) })
		expect(t, "packet", need(conn.ReadText())(t), "4x")
		if !slices.Equal(missed, []string{"over"}) {
			t.Errorf("missed by %q", missed)
		}
	})
}

// TestPanicInABroadcastLeavesNobodyCorked holds that who was sent to before a
// panic is written to all the same, and goes on being written to.
func TestPanicInABroadcastLeavesNobodyCorked(t *testing.T) {
	for name, send := range map[string]func(session *Session, fail func()){
		"broadcast": func(session *Session, fail func()) {
			Broadcast(text("x"), []bool{false, true}, func(last bool) *Session {
				if last {
					fail()
				}
				return session
			}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{})
				conn, r := s.connectPipe(t)
				panicked := make(chan any)
				go func() {
					defer func() { panicked <- recover() }()
					send(r.session, func() { panic("a fault of the caller") })
				}()
				expect(t, "packet", need(conn.ReadText())(t), "4x")
				expect(t, "panic", <-panicked, any("a fault of the caller"))
				r.session.Send(text("y"))
				expect(t, "packet after it", need(conn.ReadText())(t), "4y")
			})
		})
	}
}
