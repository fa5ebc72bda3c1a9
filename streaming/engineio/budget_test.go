package engineio

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// TestMessageCountsOnce holds that a message takes its size from the budget,
// for however many it waits, until the last has it.
func TestMessageCountsOnce(t *testing.T) {
	s := newServer(t, Options{})
	var pollers []*rawclient.Poller
	var sessions []*Session
	for range 5 {
		p, r := s.poller(t)
		pollers, sessions = append(pollers, p), append(sessions, r.session)
	}
	m := text(strings.Repeat("x", 1000))
	var b burst
	for _, session := range sessions {
		b.send(session, m)
	}
	b.flush()
	for _, p := range pollers {
		expect(t, "bytes that wait", s.Metrics().BufferedBytes, int64(m.Size()))
		need(p.Get(t.Context()))(t)
	}
	// The last one has it before the server has noted that.
	eventually(t, "nothing to wait", func() bool { return s.Metrics().BufferedBytes == 0 })
}

// TestServerBufferRefusesBeforeItCuts holds that near the end of the budget
// newcomers are refused, and that beyond it only those lose their connection
// for whom much waits.
func TestServerBufferRefusesBeforeItCuts(t *testing.T) {
	const limit = 1_000_000
	s := newServer(t, Options{ServerBuffer: limit, SendBuffer: 10 * limit})
	_, r := s.poller(t)
	modest, quiet := s.poller(t)
	for s.Metrics().BufferedBytes < limit*refuseAt/100 {
		r.session.Send(text(strings.Repeat("x", 10_000)))
	}
	refusal := need(s.client.Do(t.Context(), http.MethodGet, rawclient.Query("polling", ""), nil, nil))(t)
	expect(t, "status", refusal.Status, http.StatusServiceUnavailable)
	expect(t, "Retry-After", refusal.Header.Get("Retry-After") != "", true)
	expect(t, "refused", s.Metrics().Refusals.Of("hub_buffer"), 1)
	expect(t, "open sessions", s.Sessions(), 2)

	quiet.session.Send(text("first"))
	for r.session.Send(text(strings.Repeat("x", 10_000))) {
		// What would go beyond the budget is refused, and ends the session.
		if most := s.Metrics().BufferedBytes; most > limit {
			t.Fatalf("%d bytes wait, of %d", most, limit)
		}
	}
	quiet.session.Send(text("second"))
	r.waitClosed(t, ReasonSlowClient)
	expect(t, "slow clients", s.Metrics().SlowClients, 1)
	s.ended(t, r.session).expectAttrs(t, map[string]any{"reason": ReasonSlowClient, "limit": "hub_buffer"})
	expect(t, "what the other gets", need(modest.Get(t.Context()))(t).Body, "4first\x1e4second")
	need(s.client.Handshake(t.Context()))(t)
}
