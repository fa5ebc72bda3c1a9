package engineio

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// expectRetryAfter checks that a refusal says when to come back.
func expectRetryAfter(t testing.TB, header http.Header) (after time.Duration) {
	t.Helper()
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	after = time.Duration(seconds) * time.Second
	if err != nil || after < minRetryAfter || after > maxRetryAfter {
		t.Errorf("Retry-After is %q, want %v to %v in seconds", header.Get("Retry-After"), minRetryAfter, maxRetryAfter)
	}
	return after
}

// TestHandshakeRateAdmitsABurstAndThenTheRate holds that those who come
// together are let in one after the other, and that a refusal takes no place.
func TestHandshakeRateAdmitsABurstAndThenTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{PingInterval: time.Hour, HandshakeRate: &Rate{Amount: 10, Burst: 3}})
		handshakes := func(n int) (admitted, refused int) {
			for range n {
				w := s.serveRecorded(t, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil))
				switch w.Code {
				case http.StatusOK:
					admitted++
				case http.StatusServiceUnavailable:
					expectRetryAfter(t, w.Header())
					refused++
				default:
					t.Fatalf("a handshake was answered %d", w.Code)
				}
			}
			return admitted, refused
		}
		admitted, _ := handshakes(20)
		expect(t, "admitted of the first", admitted, 3)
		time.Sleep(time.Second / 2)
		admitted, _ = handshakes(2)
		expect(t, "admitted after half a second", admitted, 2)
		time.Sleep(time.Minute)
		admitted, refused := handshakes(10)
		expect(t, "admitted after a minute", admitted, 3)
		expect(t, "refused after a minute", refused, 7)
		expect(t, "sessions", s.Sessions(), 8)
		expect(t, "refused for the rate", s.Metrics().Refusals.Of("handshake_rate"), 17+7)
		expect(t, "turned away", s.Metrics().TurnedAway(), 17+7)

		// A request of a session there is takes no token.
		s.recorders[0].session.Send(text("x"))
		poll := s.serveRecorded(t, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, s.recorders[0].session.id), nil))
		expect(t, "a poll", poll.Body.String(), "4x")

		s.SetOptions(Options{PingInterval: time.Hour, HandshakeRate: &Rate{Amount: 1000}})
		time.Sleep(time.Minute)
		admitted, _ = handshakes(1500)
		expect(t, "admitted at another rate, whose burst is a second of it", admitted, 1000)
		s.SetOptions(Options{})
		admitted, _ = handshakes(100)
		expect(t, "admitted without a rate", admitted, 100)
	})
}

// TestRetryAfterIsSpread holds that those who were refused together are not
// asked to come back together.
func TestRetryAfterIsSpread(t *testing.T) {
	times := make(map[time.Duration]int)
	for range 1000 {
		after := refuseForLater(causeHandshakeRate, "").retryAfter
		if after < minRetryAfter || after > maxRetryAfter || after%time.Second != 0 {
			t.Fatalf("Retry-After of %v", after)
		}
		times[after]++
	}
	expect(t, "different times", len(times), 10)
}
