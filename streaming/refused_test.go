package streaming

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// TestRefusedEventsAreCountedByCode holds that those who watch a server see why events are refused,
// from a list of codes that no event set can make long.
func TestRefusedEventsAreCountedByCode(t *testing.T) {
	var counts refusedEvents
	for _, count := range counts.list() {
		if count.Count != 0 {
			t.Errorf("%s is %d at first", count.Reason, count.Count)
		}
	}
	if got := len(counts.list()); got != len(eventCodes) {
		t.Errorf("%d codes are counted from the start", got)
	}
	const many = 1000
	bad := []string{"", "Two words", "caf\xe9", "a\nb", strings.Repeat("a", 65), "{x}"}
	for i := range many {
		counts.add(CodeForbidden)
		counts.add("mine")
		counts.add(fmt.Sprint("code_", i))
		counts.add(bad[i%len(bad)])
	}
	list := counts.list()
	if len(list) != maxCodes {
		t.Errorf("%d codes are told apart", len(list))
	}
	if list.Of(CodeForbidden) != many || list.Of("mine") != many {
		t.Errorf("counted %v", list)
	}
	var sum int64
	for _, count := range list {
		sum += count.Count
	}
	if sum != 4*many || list.Of(codeOther) < many {
		t.Errorf("counted %d in all, %d of them as other", sum, list.Of(codeOther))
	}
}

// TestRefusedEventsAreLogged holds that what a client may not do is a warning, whoever refuses it, and
// that what any client can have refused shows at debug level alone.
func TestRefusedEventsAreLogged(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName),
		on("secret", func(e *Event) { e.Refuse(CodeForbidden, "not allowed to join this room") }),
		on("often", func(e *Event) { e.Refuse("throttled", "the event is sent too often") }))
	c := s.dial(engineio.WebSocket)
	c.send(`0{"name":"ada"}`)
	c.next()
	for _, test := range []struct {
		event, code, why string
		level            slog.Level
	}{
		{"secret", CodeForbidden, "not allowed to join this room", slog.LevelWarn},
		{"often", "throttled", "the event is sent too often", slog.LevelDebug},
		{"nobody\u202e", CodeUnknownEvent, "no event set of the namespace knows the event", slog.LevelDebug},
	} {
		t.Run(test.event, func(t *testing.T) {
			before := len(s.logs.all("event refused"))
			const flood = 100
			for range flood {
				c.send(`2["` + test.event + `",{"password":"hidden"}]`)
			}
			eventually(t, "all to be refused", func() bool { return s.counted("/").RefusedEvents.Of(test.code) == flood })
			s.auth.flush()
			lines := s.logs.all("event refused")[before:]
			if len(lines) != logline.First {
				t.Fatalf("%d lines", len(lines))
			}
			attrs := lines[0].attrs
			if lines[0].level != test.level || attrs["code"] != test.code || attrs["error"] != test.why || attrs["namespace"] != "/" ||
				attrs["identity"] != "ada" || attrs["connection"] == "" || attrs["client_ip"] == "" || strings.ContainsAny(attrs["event"], "\u202e") {
				t.Errorf("line %+v", lines[0])
			}
			if strings.Contains(fmt.Sprint(attrs), "hidden") {
				t.Errorf("what the client has sent is in the log: %v", attrs)
			}
			counted := false
			for _, line := range s.logs.all("more events refused") {
				if line.attrs["code"] == test.code {
					counted = line.level == test.level && line.attrs["namespace"] == "/" && line.attrs["count"] == fmt.Sprint(flood-logline.First)
				}
			}
			if !counted {
				t.Errorf("the others: %+v", s.logs.all("more events refused"))
			}
		})
	}
}
