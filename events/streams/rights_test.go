package streams

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

// TestOnlyStreamsOneMayJoinAreJoined holds that the header of a stream, which is sent before the
// room is joined, does not reach those who may not join it.
func TestOnlyStreamsOneMayJoinAreJoined(t *testing.T) {
	s := newServer(t, onlyOwn{}, &Set{Audience: AudienceSubscribers, Replay: ReplayFirst})
	owner, viewer := s.Connect(), s.Connect()
	for _, id := range []string{"own-1", "other"} {
		owner.Send(`21["stream:start",{"streamId":"` + id + `"}]`)
		owner.Send(`22["stream:data",{"streamId":"` + id + `","chunk":"first of ` + id + `"}]`)
	}
	for acknowledged := 0; acknowledged < 2; {
		if strings.HasPrefix(owner.Next().Text, "32[") {
			acknowledged++
		}
	}
	viewer.Send(`23["stream:join",{"streamId":"other"}]`)
	viewer.Send(`24["stream:join",{"streamId":"own-1"}]`)
	var got []string
	for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "34[") {
		m, err := viewer.Read()
		if err != nil {
			t.Fatalf("%v after %v", err, got)
		}
		got = append(got, m.Text)
	}
	all := strings.Join(got, "\n")
	if !strings.Contains(all, `33[{"success":false,"error":"not allowed to join this stream","code":"forbidden"}]`) ||
		strings.Contains(all, "first of other") || !strings.Contains(all, "first of own-1") {
		t.Errorf("got %s", all)
	}
}
