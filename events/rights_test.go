package events

import (
	"context"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// onlyOwn lets everyone in, and to the streams that begin with "own-".
type onlyOwn struct{}

func (onlyOwn) Authenticate(context.Context, *streaming.Credentials) (*streaming.Identity, error) {
	return &streaming.Identity{ID: "ada", Rooms: streaming.LimitTo("stream:own-*")}, nil
}

func (onlyOwn) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(onlyOwn{})
}

// TestOnlyStreamsOneMayJoinAreJoined holds that the header of a stream, which is sent before the room is joined, does not
// reach those who may not join it.
func TestOnlyStreamsOneMayJoinAreJoined(t *testing.T) {
	s := newService(t, onlyOwn{}, &Streaming{Audience: AudienceSubscribers, Replay: ReplayFirst})
	owner, viewer := s.connect(), s.connect()
	for _, id := range []string{"own-1", "other"} {
		owner.send(`21["stream:start",{"streamId":"` + id + `"}]`)
		owner.send(`22["stream:data",{"streamId":"` + id + `","chunk":"first of ` + id + `"}]`)
	}
	for acknowledged := 0; acknowledged < 2; {
		if strings.HasPrefix(owner.next().text, "32[") {
			acknowledged++
		}
	}
	viewer.send(`23["stream:join",{"streamId":"other"}]`)
	viewer.send(`24["stream:join",{"streamId":"own-1"}]`)
	var got []string
	for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "34[") {
		m, err := viewer.read()
		if err != nil {
			t.Fatalf("%v after %v", err, got)
		}
		got = append(got, m.text)
	}
	all := strings.Join(got, "\n")
	if !strings.Contains(all, `33[{"success":false,"error":"not allowed to join this stream","code":"forbidden"}]`) ||
		strings.Contains(all, "first of other") || !strings.Contains(all, "first of own-1") {
		t.Errorf("got %s", all)
	}
}

// TestOnlySessionsOneMayJoinAreJoined holds the same for sessions, and for the entries of a batch.
func TestOnlySessionsOneMayJoinAreJoined(t *testing.T) {
	s := newService(t, onlySessions{}, &Sessions{})
	c := s.connect()
	const refused = `{"success":false,"error":"not allowed for this client","code":"forbidden"}`
	const told = `2["error",{"message":"not allowed for this client","code":"forbidden"}]`
	c.send(`21["join",{"sessionId":"other","clientName":"Ada"}]`)
	c.expect(`31[` + refused + `]`)
	c.expect(told)
	c.send(`22["batch",[{"event":"join","data":{"sessionId":"other","clientName":"Ada"}},` +
		`{"event":"content","data":{"sessionId":"own-1","content":"x"}},{"event":"join","data":{"sessionId":"own-1","clientName":"Ada"}}]]`)
	var got string
	for !strings.HasPrefix(got, "32[") {
		got = c.next().text
	}
	if !strings.HasPrefix(got, `32[{"success":true,"results":[`+refused+`,`+refused+`,{"success":true,`) {
		t.Errorf("got %s", got)
	}
}

// onlySessions lets everyone in, into the sessions that begin with "own-", to send joins and batches.
type onlySessions struct{}

func (onlySessions) Authenticate(context.Context, *streaming.Credentials) (*streaming.Identity, error) {
	return &streaming.Identity{ID: "ada", Rooms: streaming.LimitTo("session:own-*"), Publish: streaming.LimitTo("join", "batch")}, nil
}

func (onlySessions) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(onlySessions{})
}
