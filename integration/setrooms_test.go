package integration

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestMembersAndRoomsCannotComeApart holds that the admin API changes nothing of who is in the rooms
// of event sets: who is a member of a session, or watches a stream, is in its room, and nobody else.
func TestMembersAndRoomsCannotComeApart(t *testing.T) {
	s, address := startAdmin(t, "socketio_stream {\n namespace / {\n events sessions\n }\n namespace /streams {\n events streaming {\n audience subscribers\n }\n }\n}")
	post := func(path, body string) (int, string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/socketio/hubs/default/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(content)
	}
	rooms := func() string { return mustCommand(t, "ls", "rooms", "--json", "--address", address) }

	type client struct {
		*socket
		id, streamsID string
	}
	connect := func() client {
		c, err := s.dial("/socket.io/", nil)
		if err != nil {
			t.Fatal(err)
		}
		return client{c, c.id("/"), c.id("/streams")}
	}
	member, stranger := connect(), connect()
	member.send(`420["join",{"sessionId":"board","clientName":"Ada"}]`)
	member.wait(`430[{"success":true`)
	member.send(`42/streams,0["stream:join",{"streamId":"kitchen","viewer":"0123456789abcdef0123456789abcdef"}]`)
	member.wait(`43/streams,0[`)
	before := rooms()

	for room, id := range map[string]func(client) string{
		"session:board":  func(c client) string { return c.id },
		"session:new":    func(c client) string { return c.id },
		"stream:kitchen": func(c client) string { return c.streamsID },
		"viewer:x":       func(c client) string { return c.streamsID },
	} {
		for _, who := range []client{member, stranger} {
			for _, action := range []string{"join", "leave"} {
				code, answer := post("sockets/"+id(who)+"/"+action, `{"rooms":["mine","`+room+`"]}`)
				if code != http.StatusForbidden || !strings.Contains(answer, room) || !strings.Contains(answer, "disconnect its socket") {
					t.Errorf("%s of %s: %d %s", action, room, code, answer)
				}
			}
		}
	}
	if after := rooms(); after != before {
		t.Errorf("rooms\n%s, before\n%s", after, before)
	}
	// Rooms of the same names in a namespace without that set are anybody's, and so are all others.
	if code, answer := post("sockets/"+stranger.streamsID+"/join", `{"rooms":["session:board","staff"]}`); code != http.StatusOK {
		t.Errorf("%d %s", code, answer)
	}
	if code, answer := post("sockets/"+stranger.id+"/join", `{"rooms":["staff"]}`); code != http.StatusOK {
		t.Errorf("%d %s", code, answer)
	}
}
