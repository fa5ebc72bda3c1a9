package socketiostream

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/events/sessions"
	"github.com/caddy-socketio/socketio-stream/internal/documents"
)

func TestSessionsOptionsFromJSONAreChecked(t *testing.T) {
	for options, want := range map[string]string{
		`"max_clients":-1`:          "max_clients must not be negative, is -1",
		`"max_sessions":-1`:         "max_sessions must not be negative",
		`"session_timeout":-1`:      "session_timeout must not be negative",
		`"history":{"contents":-1}`: "history must not be negative",
		`"history":{"size":-1}`:     "the size of history must not be negative",
		`"batch":-1`:                "batch must not be negative",
		`"fingerprint":"last"`:      "unknown fingerprint",
		`"fingerprint":"{nope}"`:    "unrecognized placeholder",
		`"throttle":[null]`:         "unknown event to throttle",
		`"throttle":[{"event":"shout","count":1,"per":"1s"}]`:           "unknown event to throttle",
		`"throttle":[{"event":"join","per":"1s"}]`:                      "the count must be at least 1",
		`"throttle":[{"event":"join","count":1}]`:                       "must be at least 1ms",
		`"throttle":[` + twice(`{"event":"join","count":1,"per":"1s"}`): "throttle join is given twice",
		`"members":1`: "unknown field",
	} {
		raw := json.RawMessage(`{"set":"sessions",` + options + `}`)
		h := &Handler{DeclaredAt: "Caddyfile:7", Namespaces: []*Namespace{{Name: "/", EventsRaw: []json.RawMessage{raw}}}}
		err := resolveOnly(t, h)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Caddyfile:7") {
			t.Errorf("%s: got %v, want an error with %q", options, err, want)
		}
	}
}

func twice(element string) string { return element + "," + element + "]" }

func TestSessionsDefaults(t *testing.T) {
	e := new(SessionsEvents)
	if err := e.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	got := e.set()
	want := sessions.Set{MaxClients: 100, MaxSessions: 10_000, Timeout: 10 * time.Minute, HistorySize: 1_000_000, Fingerprint: "off", Batch: 100}
	if a, b := encoded(t, got), encoded(t, want); a != b {
		t.Errorf("got %s, want %s", a, b)
	}
}

func TestSessionsOptionsReachTheEventSet(t *testing.T) {
	e := new(SessionsEvents)
	const options = `{"max_clients":2,"max_sessions":3,"session_timeout":0,"history":{"contents":4,"size":5},"fingerprint":"first",
		"throttle":[{"event":"content","count":6,"per":"7s"}],"batch":8}`
	if err := json.Unmarshal([]byte(options), e); err != nil {
		t.Fatal(err)
	}
	if err := e.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	want := sessions.Set{MaxClients: 2, MaxSessions: 3, History: 4, HistorySize: 5, Fingerprint: "first", Batch: 8,
		Throttle: []sessions.Throttle{{Event: "content", Count: 6, Per: 7 * time.Second}}}
	if a, b := encoded(t, e.set()), encoded(t, want); a != b {
		t.Errorf("got %s, want %s", a, b)
	}
}

func encoded(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A reader of the manual finds every code with which an event can be refused.
func TestManualListsTheCodesOfSessions(t *testing.T) {
	section := documents.Section(t, "`events sessions`")
	for code := range sessions.Codes() {
		if !strings.Contains(section, "| `"+code+"` |") {
			t.Errorf("the section on sessions has no row for %s", code)
		}
	}
}
