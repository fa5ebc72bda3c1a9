package socketiostream

import (
	"encoding/json"
	"strings"
	"testing"
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

// TestAuthWarns holds that what is allowed in auth but rarely meant is logged once, with the place.
func TestAuthWarns(t *testing.T) {
	for raw, want := range map[string]string{
		`{"method":"http","url":"http://192.0.2.1/"}`:                                        "what clients show goes to the auth backend by plain http",
		`{"method":"http","url":"https://a.example/","forward_headers":["X-Forwarded-For"]}`: "forward_headers names headers",
		`{"method":"http","url":"https://a.example/"}`:                                       "",
	} {
		h := &Handler{AuthRaw: json.RawMessage(raw), DeclaredAt: "Caddyfile:7", Namespaces: []*Namespace{
			{Name: "/", EventsRaw: []json.RawMessage{[]byte(`{"set":"streaming"}`)}},
			{Name: "/chat", EventsRaw: []json.RawMessage{[]byte(`{"set":"streaming"}`)}},
		}}
		h, _, logs := newTestHandler(t, h)
		h.warnOfAuth()
		var got []string
		for _, entry := range logs.All() {
			got = append(got, entry.Message)
			if entry.ContextMap()["declared_at"] != "Caddyfile:7" {
				t.Errorf("%s: %v", raw, entry.ContextMap())
			}
		}
		if (len(got) == 1) != (want != "") || len(got) > 1 || want != "" && !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: %q", raw, got)
		}
	}
}

// TestAuthIsShownInWords holds that an authentication says that it has options only where it has some.
func TestAuthIsShownInWords(t *testing.T) {
	for raw, want := range map[string]string{
		`{"method":"caddy"}`:                  "caddy",
		`{"method":"caddy","max_age":"1h"}`:   "caddy with max_age ",
		`{"method":"none"}`:                   "none",
		`{"method":"http","url":"http://x/"}`: "http with url ",
	} {
		h := &Handler{AuthRaw: json.RawMessage(raw)}
		if err := resolveOnly(t, h); err != nil {
			t.Fatal(err)
		}
		got := h.Namespaces[0].auth.String()
		if rest, ok := strings.CutPrefix(got, want); !ok || (rest != "") != strings.HasSuffix(want, " ") {
			t.Errorf("%s is shown as %q", raw, got)
		}
	}
}
