package events_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/events/relay"
	"github.com/caddy-socketio/socketio-stream/events/rooms"
	"github.com/caddy-socketio/socketio-stream/events/rooms/lang"
	"github.com/caddy-socketio/socketio-stream/events/sessions"
	"github.com/caddy-socketio/socketio-stream/events/streams"
	"github.com/caddy-socketio/socketio-stream/internal/documents"
)

// The ways in which a client meets its rights. SECURITY.md has a row for each.
const (
	join     = "join"
	start    = "start"
	send     = "send"
	receive  = "receive"
	history  = "history"
	replay   = "replay"
	presence = "presence"
	batch    = "batch"
	admitted = "admin join"
)

// clients are what clients with some rights show.
var clients = map[string]string{
	"all":     `{"name":"subject"}`,
	"rooms":   `{"name":"subject","rooms":["stream:board","session:board","session:new","room:board"]}`,
	"none":    `{"name":"subject","rooms":[]}`,
	"starts":  `{"name":"subject","rooms":[],"start":["stream:board","session:board","session:new"]}`,
	"watches": `{"name":"subject","rooms":["stream:*","session:*"],"start":[]}`,
	"silent":  `{"name":"subject","publish":[]}`,
}

// TestRights has clients with different rights try everything that a right stands before, with each event
// set and each of its audiences.
func TestRights(t *testing.T) {
	allOf := func(ways ...string) []string { return ways }
	for _, test := range []struct {
		name string
		try  func(t *testing.T, auth string) map[string]bool
		// may is what each client may do, and nothing else.
		may map[string][]string
	}{
		{"streaming, audience all", tryStreams(streams.AudienceAll), map[string][]string{
			"all":     allOf(join, start, send, receive, replay, presence),
			"rooms":   allOf(join, start, send, receive, replay, presence),
			"none":    nil,
			"starts":  allOf(start, send),
			"watches": allOf(join, receive, replay, presence),
			"silent":  allOf(receive, presence),
		}},
		{"streaming, audience subscribers", tryStreams(streams.AudienceSubscribers), map[string][]string{
			"all":     allOf(join, start, send, receive, replay, presence),
			"rooms":   allOf(join, start, send, receive, replay, presence),
			"none":    allOf(admitted),
			"starts":  allOf(start, send, admitted),
			"watches": allOf(join, receive, replay, presence),
			"silent":  allOf(admitted),
		}},
		{"sessions", trySessions, map[string][]string{
			"all":     allOf(join, start, send, receive, history, presence, batch),
			"rooms":   allOf(join, start, send, receive, history, presence, batch),
			"watches": allOf(join, start, send, receive, history, presence, batch),
			"none":    nil,
			"starts":  nil,
			"silent":  nil,
		}},
		{"relay", tryRelay, map[string][]string{
			"all": allOf(send, receive), "rooms": allOf(send, receive), "none": allOf(send, receive),
			"starts": allOf(send, receive), "watches": allOf(send, receive), "silent": allOf(receive),
		}},
		{"rooms", tryRooms, map[string][]string{
			"all": allOf(join, send, receive, presence), "rooms": allOf(join, send, receive, presence),
			"none": nil, "starts": nil, "watches": nil, "silent": nil,
		}},
	} {
		for client, auth := range clients {
			t.Run(test.name+"/"+client, func(t *testing.T) {
				for way, got := range test.try(t, auth) {
					if want := slices.Contains(test.may[client], way); got != want {
						t.Errorf("%s: %v, want %v", way, got, want)
					}
				}
			})
		}
	}
}

// came is what has come to a client by the time all is handled that was sent.
func came(c *eventstest.Client) string {
	c.T.Helper()
	packets, err := c.CatchUp()
	if err != nil {
		c.T.Fatal(err)
	}
	return fmt.Sprint(packets)
}

// says has a client send something and returns what comes until it is handled.
func says(c *eventstest.Client, text string, binary ...string) string {
	c.T.Helper()
	c.Send(text, binary...)
	return came(c)
}

// tryStreams tries what a client may do with the stream "board", which is another's at first.
func tryStreams(audience streams.Audience) func(t *testing.T, auth string) map[string]bool {
	return func(t *testing.T, auth string) map[string]bool {
		s := eventstest.NewServer(t, eventstest.Named{}, &streams.Set{Audience: audience, Replay: streams.ReplayFirst})
		owner, witness := s.ConnectAs(named("owner")), s.ConnectAs(named("witness"))
		subject := s.ConnectAs(eventstest.Who{Auth: auth})
		could := make(map[string]bool)
		says(witness, `2["stream:join",{"streamId":"board"}]`)
		says(owner, `51-["stream:start",{"streamId":"board","header":`+eventstest.Placeholder0+`}]`, "the header")
		says(owner, `2["stream:data",{"streamId":"board","n":1}]`)
		before := came(subject)
		joins := says(subject, `21["stream:join",{"streamId":"board"}]`)
		could[join] = strings.Contains(joins, `31[{"success":true`)
		could[replay] = strings.Contains(joins, "the header")
		if strings.Contains(before, "the header") {
			t.Errorf("the header came without a join: %s", before)
		}
		says(owner, `2["stream:data",{"streamId":"board","n":2}]`)
		after := came(subject)
		could[receive] = strings.Contains(after, `"n":2`)

		// Viewers are counted when one more comes; the answer to a join that comes after that is later.
		says(s.ConnectAs(named("third")), `2["stream:join",{"streamId":"board"}]`)
		for !strings.Contains(witness.Next().Text, "stream:viewers") {
			continue
		}
		says(witness, `2["stream:join",{"streamId":"board"}]`)
		news := came(subject)
		owner.Send("1")
		owner.Gone()
		news += came(subject)
		could[presence] = strings.Contains(before+joins+after+news, "stream:viewers") || strings.Contains(news, "stream:stopped") ||
			strings.Contains(before, "stream:started")

		came(witness)
		could[start] = strings.Contains(says(subject, `22["stream:start",{"streamId":"board"}]`), `32[{"success":true`)
		says(subject, `2["stream:data",{"streamId":"board","n":3}]`)
		could[send] = strings.Contains(came(witness), `"n":3`)

		says(subject, `2["stream:stop",{"streamId":"board"}]`)
		// Whom the server puts into the room without asking gets what is sent there.
		outsider := s.ConnectAs(eventstest.Who{Auth: auth})
		again := s.ConnectAs(named("again"))
		says(again, `2["stream:start",{"streamId":"board"}]`)
		if !could[join] {
			s.Of("/").Find(outsider.ID).Admit("stream:board")
			says(again, `2["stream:data",{"streamId":"board","n":4}]`)
			if !could[receive] {
				could[admitted] = strings.Contains(came(outsider), `"n":4`)
			}
		}
		return could
	}
}

func named(name string) eventstest.Who {
	return eventstest.Who{Auth: fmt.Sprintf(`{"name":%q}`, name)}
}

// trySessions tries what a client may do with the session "board", in which others are.
func trySessions(t *testing.T, auth string) map[string]bool {
	s := eventstest.NewServer(t, eventstest.Named{}, &sessions.Set{History: 10})
	first, second := s.ConnectAs(named("first")), s.ConnectAs(named("second"))
	could := make(map[string]bool)
	for _, c := range []*eventstest.Client{first, second} {
		says(c, `2["join",{"sessionId":"board","clientName":"member"}]`)
	}
	says(first, `2["content",{"sessionId":"board","content":"of the past"}]`)
	subject := s.ConnectAs(eventstest.Who{Auth: auth})
	joins := says(subject, `21["join",{"sessionId":"board","clientName":"subject"}]`)
	could[join] = strings.Contains(joins, `31[{"success":true`)
	could[history] = strings.Contains(joins, "of the past")
	could[start] = strings.Contains(says(subject, `22["join",{"sessionId":"new","clientName":"subject"}]`), `32[{"success":true`)
	says(first, `2["content",{"sessionId":"board","content":"live"}]`)
	could[receive] = strings.Contains(came(subject), `"live"`)
	says(subject, `2["content",{"sessionId":"board","content":"of the subject"}]`)
	could[send] = strings.Contains(came(first), "of the subject")
	second.Send("1")
	second.Gone()
	could[presence] = strings.Contains(came(subject), "client-left")

	other := s.ConnectAs(eventstest.Who{Auth: auth})
	says(other, `2["batch",[{"event":"join","data":{"sessionId":"board","clientName":"subject"}},`+
		`{"event":"content","data":{"sessionId":"board","content":"of a batch"}}]]`)
	could[batch] = strings.Contains(came(first), "of a batch")
	return could
}

// tryRelay tries what a client may do where there are no rooms.
func tryRelay(t *testing.T, auth string) map[string]bool {
	s := eventstest.NewServer(t, eventstest.Named{}, &relay.Set{Events: []string{"chat"}})
	other, subject := s.ConnectAs(named("other")), s.ConnectAs(eventstest.Who{Auth: auth})
	says(other, `2["chat","of another"]`)
	could := map[string]bool{receive: strings.Contains(came(subject), "of another")}
	says(subject, `2["chat","of the subject"]`)
	could[send] = strings.Contains(came(other), "of the subject")
	return could
}

// tryRooms tries what a client may do with the room "board", in which others are.
func tryRooms(t *testing.T, auth string) map[string]bool {
	s := eventstest.NewServer(t, eventstest.Named{}, &rooms.Set{Program: lang.Program{On: []lang.Handler{
		{Event: "join", Args: []string{"room"}, Do: []lang.Step{
			{Do: "join", Room: "{room}"},
			{Do: "emit", Room: "{room}", All: true, Event: "members", Values: []string{"{members}"}},
		}},
		{Event: "say", Args: []string{"room", "text"}, Do: []lang.Step{
			{Do: "emit", Room: "{room}", Event: "said", Values: []string{"{text}"}},
		}},
		{Event: "disconnecting", Room: "<room>", Do: []lang.Step{
			{Do: "emit", Room: "{room}", Event: "members", Values: []string{"{members}"}},
		}},
	}}})
	first, second := s.ConnectAs(named("first")), s.ConnectAs(named("second"))
	could := make(map[string]bool)
	for _, c := range []*eventstest.Client{first, second} {
		says(c, `2["join","board"]`)
	}
	subject := s.ConnectAs(eventstest.Who{Auth: auth})
	could[join] = strings.Contains(says(subject, `21["join","board"]`), `31[{"success":true`)
	says(first, `2["say","board","live"]`)
	could[receive] = strings.Contains(came(subject), `"live"`)
	says(subject, `2["say","board","of the subject"]`)
	could[send] = strings.Contains(came(first), "of the subject")
	second.Send("1")
	second.Gone()
	could[presence] = strings.Contains(came(subject), "members")
	return could
}

// TestTableOfRights holds that SECURITY.md has a row for each way in which a right is met, and a column
// for each event set.
func TestTableOfRights(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(documents.Root(t), "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| way | `events streaming` | `events sessions` | `events relay` | `events rooms` |\n|---|---|---|---|---|\n")
	if !ok {
		t.Fatal("there is no table of rights")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var ways []string
	for row := range strings.SplitSeq(strings.TrimSpace(table), "\n") {
		way, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		ways = append(ways, way)
	}
	if want := []string{join, start, send, receive, history, replay, presence, batch, admitted}; !slices.Equal(ways, want) {
		t.Errorf("the rows are %q, want %q", ways, want)
	}
}
