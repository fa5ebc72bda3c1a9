package streams

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// recovered connects a client that was cut off, which must be recovered.
func (s *server) recovered(t *testing.T, c *client) *client {
	t.Helper()
	c.Close()
	back := s.ConnectAs(eventstest.Who{Auth: fmt.Sprintf(`{"pid":%q}`, c.PID)})
	if back.ID != c.ID {
		t.Fatalf("not recovered: %+v", s.Metrics().Recovery)
	}
	return back
}

// await takes what comes until one begins like that.
func (c *client) await(beginning string) {
	c.T.Helper()
	for !strings.HasPrefix(c.Next().Text, beginning) {
	}
}

// TestStreamOfARecoveredOwnerGoesOn holds that viewers hear nothing of an owner that was cut off, and the
// other way round, and that nobody gets another share of the streams by that.
func TestStreamOfARecoveredOwnerGoesOn(t *testing.T) {
	s := newServer(t, &Set{MaxStreams: 20, Audience: AudienceSubscribers})
	s.SetOptions(streaming.Options{Recovery: recovery.Options{Window: time.Minute}})
	owner, viewer := s.Connect(), s.Connect()
	for _, id := range []string{"one", "two"} {
		owner.Send(fmt.Sprintf(`2["stream:start",{"streamId":%q}]`, id))
		owner.await(`2["stream:started"`)
	}
	viewer.join("one")
	owner = s.recovered(t, owner)
	viewer = s.recovered(t, viewer)
	owner.Send(`2["stream:data",{"streamId":"one","text":"on"}]`)
	viewer.await(`2["stream:data",{"streamId":"one","text":"on"},"`)
	owner.Send(`21["stream:start",{"streamId":"three"}]`)
	owner.await(eventstest.RefusedAck(1, CodeTooManyStreams, "the client has started too many streams"))
	table := s.table()
	table.mu.Lock()
	defer table.mu.Unlock()
	if len(table.owners) != 1 || table.names.Held() != 2 {
		t.Errorf("%d owners, %d names", len(table.owners), table.names.Held())
	}
}
