package sessions

import (
	"context"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// TestOnlySessionsOneMayJoinAreJoined holds that a client joins no session that it may
// not join, and that the entries of a batch are held to the same.
func TestOnlySessionsOneMayJoinAreJoined(t *testing.T) {
	s := newServer(t, onlySessions{}, &Set{})
	c := s.Connect()
	const refused = `{"success":false,"error":"not allowed for this client","code":"forbidden"}`
	const told = `2["error",{"message":"not allowed for this client","code":"forbidden"}]`
	c.Send(`21["join",{"sessionId":"other","clientName":"Ada"}]`)
	c.Expect(`31[` + refused + `]`)
	c.Expect(told)
	c.Send(`22["batch",[{"event":"join","data":{"sessionId":"other","clientName":"Ada"}},` +
		`{"event":"content","data":{"sessionId":"own-1","content":"x"}},{"event":"join","data":{"sessionId":"own-1","clientName":"Ada"}}]]`)
	var got string
	for !strings.HasPrefix(got, "32[") {
		got = c.Next().Text
	}
	if !strings.HasPrefix(got, `32[{"success":true,"results":[`+refused+`,`+refused+`,{"success":true,`) {
		t.Errorf("got %s", got)
	}
}

// onlySessions lets everyone in, into the sessions that begin with "own-", to send joins and
// batches.
type onlySessions struct{}

func (onlySessions) Authenticate(context.Context, *streaming.Credentials) (*streaming.Identity, error) {
	return &streaming.Identity{ID: "ada", Rooms: streaming.LimitTo("session:own-*"), Publish: streaming.LimitTo("join", "batch")}, nil
}

func (onlySessions) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(onlySessions{})
}
