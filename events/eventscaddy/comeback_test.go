package eventscaddy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/events/sessions"
	"github.com/caddy-socketio/socketio-stream/events/streams"
)

// answerOf takes what comes up to the acknowledgement with an ID, and reads that.
func answerOf(c *eventstest.Client, id int, answer any) {
	c.T.Helper()
	for prefix := fmt.Sprintf("3%d[", id); ; {
		text, ok := strings.CutPrefix(c.Next().Text, prefix)
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), answer); err != nil {
			c.T.Fatal(err)
		}
		return
	}
}

// A namespace has both sets. Whatever the client of a connection takes over first on another one, the
// connection goes on with what it still has of the other set, and ends with the last of it.
func TestOldConnectionKeepsWhatItHasOfAnotherSet(t *testing.T) {
	for _, streamFirst := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream first %t", streamFirst), func(t *testing.T) {
			s := eventstest.NewServer(t, new(streams.Set), new(sessions.Set))
			old, back := s.Connect(), s.Connect()
			var started struct{ Secret string }
			old.Send(`21["stream:start",{"streamId":"one"}]`)
			answerOf(old, 1, &started)
			var joined struct{ Token string }
			old.Send(`22["join",{"sessionId":"room","clientName":"Ann"}]`)
			answerOf(old, 2, &joined)

			takeStream := func() {
				back.Send(fmt.Sprintf(`21["stream:start",{"streamId":"one","secret":%q}]`, started.Secret))
				answerOf(back, 1, new(any))
				old.Expect(`2["error",{"message":"the client is back on another connection","code":"replaced","streamId":"one"}]`)
			}
			takePlace := func() {
				back.Send(fmt.Sprintf(`22["join",{"sessionId":"room","clientName":"Ann","token":%q}]`, joined.Token))
				answerOf(back, 2, new(any))
				old.Expect(`2["error",{"message":"the client has its place in the session on another connection","code":"replaced","sessionId":"room"}]`)
			}
			if streamFirst {
				takeStream()
				old.Send(`23["content",{"sessionId":"room","content":1}]`)
				old.Expect(`33[{"success":true}]`)
				takePlace()
			} else {
				takePlace()
				old.Send(`23["stream:data",{"streamId":"one"}]`)
				old.Expect(`33[{"success":true}]`)
				takeStream()
			}
			old.Expect("1")
			if r, err := old.Read(); err == nil {
				t.Errorf("got %v after the end", r)
			}
			old.Gone()
		})
	}
}
