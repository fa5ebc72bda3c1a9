package sessions

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

const placeholder0 = eventstest.Placeholder0

// server is a server whose clients know of sessions.
type server struct{ *eventstest.Server }

func newServer(t testing.TB, sets ...streaming.EventSet) *server {
	t.Helper()
	return &server{eventstest.NewServer(t, sets...)}
}

// table returns the sessions of the main namespace.
func (s *server) table() *table { return streaming.State(s.Of("/"), newTable) }

type stats struct {
	Sessions, Empty, Clients, Contents, Chunks, Bytes, HistoryBytes int
}

// stats reads the figures of the sessions.
func (s *server) stats() stats {
	value := func(figure streaming.Figure) int { return int(s.Figure(figure)) }
	return stats{
		Sessions: value(sessionsFigure), Empty: value(emptyFigure), Clients: value(clientsFigure),
		Contents: value(contentsFigure), Chunks: value(chunksFigure),
		Bytes: value(bytesFigure), HistoryBytes: value(historyBytesFigure),
	}
}

// Connect connects a client that lives as long as the test.
func (s *server) Connect() *client { return &client{s.Server.Connect()} }

// TryConnect connects a client that the caller closes.
func (s *server) TryConnect() (*client, error) {
	c, err := s.Server.TryConnect()
	return &client{c}, err
}

// client is a client that joins sessions.
type client struct{ *eventstest.Client }

// enters joins a session and returns the acknowledgement once it has come;
// what came before it is returned as well.
func (c *client) enters(session, name string, more ...string) (answer joinAnswer) {
	c.T.Helper()
	c.Send(joinText(session, name, more...))
	answer, err := c.readAnswer()
	if err != nil {
		c.T.Fatal(err)
	}
	if !answer.Success {
		c.T.Fatalf("the join was refused: %+v", answer)
	}
	return answer
}

func joinText(session, name string, more ...string) string {
	return fmt.Sprintf(`299["join",{"sessionId":%q,"clientName":%q%s}]`, session, name, strings.Join(more, ""))
}

type joinAnswer struct {
	joined
	Code string
}

// readAnswer reads up to the acknowledgement of a join.
func (c *client) readAnswer() (answer joinAnswer, err error) {
	for {
		r, err := c.Read()
		if err != nil {
			return answer, err
		}
		if text, ok := strings.CutPrefix(r.Text, "399["); ok {
			return answer, json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &answer)
		}
	}
}

// contentText is what the others get of a content. rest is what is told besides the session and the
// client who has sent it.
func contentText(session, id, rest string) string {
	return fmt.Sprintf(`2["content",{"sessionId":%q,%s,"clientId":%q}]`, session, rest, id)
}

// relayed is an event that a client sends to a session, as the others get it: with who has sent it.
func relayed(text, session, id string) string {
	if !strings.Contains(text, fmt.Sprintf(`{"sessionId":%q,`, session)) {
		return text
	}
	return strings.TrimSuffix(text, "}]") + fmt.Sprintf(`,"clientId":%q}]`, id)
}

func joinedText(session, id, name string) string {
	return fmt.Sprintf(`2["client-joined",{"sessionId":%q,"clientId":%q,"clientName":%q}]`, session, id, name)
}

func leftText(session, id string) string {
	return fmt.Sprintf(`2["client-left",{"sessionId":%q,"clientId":%q}]`, session, id)
}
