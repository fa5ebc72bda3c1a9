package streams

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

const placeholder0 = eventstest.Placeholder0

// server is a server whose clients know of streams.
type server struct{ *eventstest.Server }

// newServer starts a server whose clients keep apart how many viewers there
// are: they hear of that when it likes.
func newServer(t testing.TB, sets ...streaming.EventSet) *server {
	t.Helper()
	s := &server{eventstest.NewServer(t, sets...)}
	s.Aside = `2["stream:viewers",`
	return s
}

// table returns the streams of the main namespace.
func (s *server) table() *streams { return streaming.State(s.Of("/"), newStreams) }

// kept is how many bytes are kept for late joiners.
func (s *server) kept() int {
	table := s.table()
	table.mu.Lock()
	defer table.mu.Unlock()
	return int(table.replays.Held())
}

// owners is how many sockets have streams.
func (s *server) owners() int {
	table := s.table()
	table.mu.Lock()
	defer table.mu.Unlock()
	return len(table.owners)
}

// ConnectAs connects a client that says who it is, and lives as long as the test.
func (s *server) ConnectAs(who eventstest.Who) *client { return &client{s.Server.ConnectAs(who)} }

// Connect connects a client that lives as long as the test.
func (s *server) Connect() *client { return &client{s.Server.Connect()} }

// client is a client that starts and joins streams.
type client struct{ *eventstest.Client }

// start starts a stream and takes the answer.
func (c *client) start(id string) {
	c.T.Helper()
	c.Send(fmt.Sprintf(`2["stream:start",{"streamId":%q}]`, id))
	c.Expect(fmt.Sprintf(`2["stream:started",{"status":"ok","streamId":%q}]`, id))
}

// startWith starts a stream with a header.
func (c *client) startWith(id, header string) {
	c.T.Helper()
	c.Send(fmt.Sprintf(`51-["stream:start",{"streamId":%q,"header":%s}]`, id, placeholder0), header)
	c.Expect(fmt.Sprintf(`2["stream:started",{"status":"ok","streamId":%q}]`, id))
}

// join joins a stream, and takes the answer once it has come; what came before
// it is returned.
func (c *client) join(id string) (before []eventstest.Packet) {
	c.T.Helper()
	c.Send(fmt.Sprintf(`299["stream:join",{"streamId":%q}]`, id))
	for {
		r := c.Next()
		if strings.HasPrefix(r.Text, `399[{"success":true,"stream":{"streamId":`) {
			return before
		}
		before = append(before, r)
	}
}
