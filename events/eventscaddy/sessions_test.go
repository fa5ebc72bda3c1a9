package eventscaddy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/events/sessions"
)

func TestSessionsDefaults(t *testing.T) {
	e := new(Sessions)
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
	e := new(Sessions)
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
