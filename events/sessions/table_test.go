package sessions

import (
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// A session that was made for a client which may not join it any more by then, since its rights have
// changed meanwhile, is an empty one like any other.
func TestSessionThatIsMadeInVainIsSettled(t *testing.T) {
	for _, test := range []struct {
		timeout time.Duration
		left    int
	}{{0, 0}, {time.Hour, 1}} {
		t.Run(test.timeout.String(), func(t *testing.T) {
			set := Set{Timeout: test.timeout, MaxSessions: 1}
			s := newServer(t, onlySessions{}, &set)
			socket := s.Of("/").Find(s.Connect().ID)
			service := &service{Set: set, table: s.table()}
			session, d := service.table.enter("other", events.Client(socket), 1)
			if d != nil {
				t.Fatal(d)
			}
			if m, d := service.sit(&request{socket: socket, name: "join"}, session, "Ada", nil, true); m != nil || d != deniedForbidden {
				t.Errorf("%v, %v", m, d)
			}
			if got := s.stats(); got.Sessions != test.left || got.Empty != test.left {
				t.Errorf("%+v", got)
			}
			// It has not taken the only place for good.
			s.Connect().enters("own-1", "Ada")
		})
	}
}

// Content whose sender has lost its place while it waited for receivers is not kept for a session that
// is gone by then.
func TestNothingIsKeptForASessionThatIsGone(t *testing.T) {
	s := newServer(t, &Set{History: 10})
	ann := s.Connect()
	ann.enters("room", "Ann")
	table := s.table()
	table.mu.Lock()
	session := table.byID["room"]
	table.mu.Unlock()
	socket := s.Of("/").Find(ann.ID)
	content, err := packet.NewArgs("content")
	if err != nil {
		t.Fatal(err)
	}
	share := func() bool {
		return session.share(socket, "content", content, 0, &content, &Set{History: 10, HistorySize: DefaultHistorySize})
	}
	if !share() || s.stats().HistoryBytes == 0 {
		t.Error("nothing is kept of a session that is there")
	}
	ann.says(`"leave",{"sessionId":"room"}`)
	eventstest.Eventually(t, "the session to be gone", func() bool { return s.stats().Sessions == 0 })
	if share() || s.stats().HistoryBytes != 0 {
		t.Errorf("%d bytes are kept for nobody", s.stats().HistoryBytes)
	}
}
