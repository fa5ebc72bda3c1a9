package engineio

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// TestPollersAreCounted holds that a session counts while it is open and on long-polling, by what
// its client does, and not again after it has changed over or ended.
func TestPollersAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		pollers := func(what string, waiting, away int) {
			t.Helper()
			synctest.Wait()
			w, a := s.Pollers()
			expect(t, what+": waiting", w, waiting)
			expect(t, what+": away", a, away)
		}
		s.connectPipe(t)
		pollers("one on WebSocket", 0, 0)
		sessions := []*recorder{s.pollIn(t), s.pollIn(t), s.pollIn(t), s.pollIn(t)}
		pollers("four that have no poll yet", 0, 4)
		answers := make(chan string, len(sessions))
		for _, r := range sessions {
			go func() { answers <- s.getIn(t, r) }()
		}
		pollers("four that poll", 4, 0)
		sessions[0].session.Send(text("here"))
		expect(t, "answer", <-answers, "4here")
		pollers("one that has its answer", 3, 1)
		s.upgradePipe(t, sessions[0])
		pollers("one that has changed over", 3, 0)
		sessions[1].session.Close(ReasonForcedClose)
		expect(t, "answer", <-answers, "1")
		pollers("one that was closed", 2, 0)
		sessions[2].session.abort(ReasonSlowClient)
		pollers("one that was cut off", 1, 0)
		<-answers
		// A second poll at the same time is an error that ends the session.
		s.serveRecorded(t, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, sessions[3].session.id), nil))
		<-answers
		pollers("none", 0, 0)
	})
}
