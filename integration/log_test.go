package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// logName is the logger of the lines about connections.
const logName = "http.handlers.socketio_stream"

// logFile is a log in JSON.
type logFile struct {
	t    *testing.T
	path string
}

func newLogFile(t *testing.T, name string) *logFile {
	return &logFile{t, filepath.Join(t.TempDir(), name)}
}

// all is a global option that logs everything here, with the filter of docs/logs.md.
func (f *logFile) all() string {
	return "log {\n output file " + f.path + "\n level DEBUG\n format filter {\n request>uri query {\n replace sid REDACTED\n }\n }\n}"
}

// own is a global option that logs what is of the handlers here.
func (f *logFile) own() string {
	return "log sio {\n output file " + f.path + "\n include " + logName + "\n}"
}

func (f *logFile) text() string {
	f.t.Helper()
	content, err := os.ReadFile(f.path)
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	return string(content)
}

// lines returns the lines of the handlers with this message.
func (f *logFile) lines(message string) []map[string]any {
	f.t.Helper()
	var found []map[string]any
	for line := range strings.Lines(f.text()) {
		if !strings.HasSuffix(line, "\n") {
			continue // it is still being written
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			f.t.Fatalf("%v in %q", err, line)
		}
		if fields["logger"] == logName && fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// wait waits for so many lines with a message.
func (f *logFile) wait(message string, n int) []map[string]any {
	f.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if lines := f.lines(message); len(lines) >= n {
			return lines
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("there are no %d lines %q in the log:\n%s", n, message, f.text())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// expectFields checks fields by their text.
func expectFields(t *testing.T, line map[string]any, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if got := fmt.Sprint(line[name]); got != fmt.Sprint(value) {
			t.Errorf("%s: got %s, want %v, in %v", name, got, value, line)
		}
	}
}

// raw returns a client that shows what is on the wire.
func (s *server) raw(headers ...string) *rawclient.Client {
	client := rawclient.New("http://127.0.0.1:" + s.port + "/socket.io/")
	for i := 0; i+1 < len(headers); i += 2 {
		client.Header.Set(headers[i], headers[i+1])
	}
	s.t.Cleanup(client.Close)
	return client
}

// do stops the test at an error.
func do[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// TestConnectionsAreLogged follows clients of each transport from their start to their end, across
// a reload: what is in the log, and what is not, at any level.
func TestConnectionsAreLogged(t *testing.T) {
	const payload = "nobody-else-s-business"
	trusting := "servers {\n trusted_proxies static 127.0.0.1/32\n}"
	before, after := newLogFile(t, "before.log"), newLogFile(t, "after.log")
	s := startServer(t, "log\nsocketio_stream {\n hub watched\n cookie\n}", before.all(), trusting)
	client := s.raw("X-Forwarded-For", "203.0.113.7", "User-Agent", "Agent/1.0")
	var sids []string

	long := do(client.Connect(t.Context()))(t)
	sids = append(sids, long.Open.SID)

	p := do(client.Handshake(t.Context()))(t)
	sids = append(sids, p.Open.SID)
	do(p.Post(t.Context(), "40"))(t)
	do(p.Poll(t.Context()))(t)
	do(p.Post(t.Context(), `42["message","`+payload+`"]`))(t)
	do(p.Post(t.Context(), "1"))(t)

	u := do(client.Handshake(t.Context()))(t)
	sids = append(sids, u.Open.SID)
	upgraded := do(u.Upgrade(t.Context()))(t)
	if err := upgraded.WriteClose(ws.StatusNormalClosure); err != nil {
		t.Fatal(err)
	}

	faulty := do(client.Connect(t.Context()))(t)
	sids = append(sids, faulty.Open.SID)
	if err := faulty.WriteText(`42["message",` + payload); err != nil {
		t.Fatal(err)
	}

	started, ended := before.wait("connection started", 4), before.wait("connection ended", 3)
	byConnection := make(map[any]map[string]any)
	for _, line := range started {
		expectFields(t, line, map[string]any{"level": "info", "hub": "watched", "client_ip": "203.0.113.7", "user_agent": "Agent/1.0"})
		byConnection[line["connection"]] = line
	}
	if len(byConnection) != 4 {
		t.Errorf("the connections of %d starts are told apart as %d", len(started), len(byConnection))
	}
	ends := make(map[string]map[string]any)
	for _, line := range ended {
		start := byConnection[line["connection"]]
		if start == nil {
			t.Errorf("an end without a start: %v", line)
		}
		if duration, ok := line["duration"].(float64); !ok || duration < 0 || duration > patience.Seconds() {
			t.Errorf("duration %v", line["duration"])
		}
		expectFields(t, line, map[string]any{"hub": "watched", "client_ip": "203.0.113.7", "user_agent": "Agent/1.0"})
		ends[fmt.Sprint(start["transport"], " ", line["reason"], " ", line["transport"])] = line
	}
	names := slices.Sorted(maps.Keys(ends))
	if want := []string{"polling transport close polling", "polling transport close websocket", "websocket parse error websocket"}; !slices.Equal(names, want) {
		t.Fatalf("ends %q, want %q", names, want)
	}
	polling := ends["polling transport close polling"]
	expectFields(t, polling, map[string]any{
		"level": "info", "upgraded": false, "namespaces": "[/]", "messages_in": 2, "messages_out": 1,
		"bytes_in": len(`40`) + len(`42["message",""]`) + len(payload) + len("1"),
	})
	if out, _ := polling["bytes_out"].(float64); int(out) <= len(p.Answer.Body) {
		t.Errorf("bytes out %v, of which the handshake is %d", polling["bytes_out"], len(p.Answer.Body))
	}
	expectFields(t, ends["polling transport close websocket"], map[string]any{"level": "info", "upgraded": true, "namespaces": "[]"})
	expectFields(t, ends["websocket parse error websocket"], map[string]any{"level": "warn", "upgraded": false, "messages_in": 1})

	// The connection that is left goes to the log of the new config.
	if err := s.load("socketio_stream {\n hub watched\n}", after.own(), trusting); err != nil {
		t.Fatal(err)
	}
	if err := long.Close(); err != nil {
		t.Fatal(err)
	}
	end := after.wait("connection ended", 1)[0]
	if byConnection[end["connection"]] == nil {
		t.Errorf("an end without a start: %v", end)
	}
	expectFields(t, end, map[string]any{"hub": "watched", "client_ip": "203.0.113.7", "transport": "websocket"})

	for _, secret := range append(sids, payload) {
		for name, log := range map[string]string{"before": before.text(), "after": after.text()} {
			if strings.Contains(log, secret) {
				t.Errorf("%q is in the log %s the reload:\n%s", secret, name, log)
			}
		}
	}
}

// TestUntrustedProxyIsNotBelieved holds that a client cannot choose the address it is logged with.
func TestEventsAreLogged(t *testing.T) {
	log := newLogFile(t, "events.log")
	site := func(more string) string {
		return "socketio_stream {\n" + more + "\nnamespace / {\nevents relay chat\n}\n}"
	}
	s := startServer(t, site("log_events names"), log.own())
	client, other := s.connect("/socket.io/"), s.connect("/socket.io/")
	client.send(`42["chat",{"secret":"words"}]`)
	client.send(`42["unknown"]`)
	other.wait("42")
	lines := log.wait("event", 2)
	expectFields(t, lines[0], map[string]any{"namespace": "/", "event": "chat", "bytes": 18.0, "level": "info"})
	expectFields(t, lines[1], map[string]any{"event": "unknown", "bytes": 0.0, "socket": lines[0]["socket"]})
	if id, _ := lines[0]["socket"].(string); id == "" || strings.Contains(log.text(), "words") {
		t.Errorf("the log is %s", log.text())
	}
	// A reload ends it, and another one begins it again.
	for _, c := range []struct {
		more string
		want int
	}{{"", 2}, {"log_events names", 3}} {
		if err := s.load(site(c.more), log.own()); err != nil {
			t.Fatal(err)
		}
		client.send(`42["chat",1]`)
		other.wait("42")
		if got := log.wait("event", c.want); len(got) != c.want {
			t.Errorf("%d lines with %q, want %d", len(got), c.more, c.want)
		}
	}
}

func TestUntrustedProxyIsNotBelieved(t *testing.T) {
	log := newLogFile(t, "caddy.log")
	s := startServer(t, "socketio_stream", log.own())
	do(s.raw("X-Forwarded-For", "203.0.113.7").Handshake(t.Context()))(t)
	expectFields(t, log.wait("connection started", 1)[0], map[string]any{"client_ip": "127.0.0.1"})
	do(s.raw("X-Forwarded-For", "203.0.113.7").Do(t.Context(), "GET", "EIO=3&transport=polling", nil, nil))(t)
	expectFields(t, log.wait("request refused", 1)[0], map[string]any{"client_ip": "127.0.0.1", "reason": "unsupported_version", "level": "warn"})
}

// TestRefusalsAreLoggedWithReasons goes through what anybody can have refused.
func TestRefusalsAreLoggedWithReasons(t *testing.T) {
	for _, test := range []struct {
		name, method, query string
		headers             []string
		message             string
		want                map[string]any
	}{
		{"unknown session", "GET", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAAAA", nil, "request refused",
			map[string]any{"reason": "unknown_sid", "status": 400, "method": "GET", "path": "/socket.io/"}},
		{"transport", "GET", "EIO=4&transport=%1b%5b2J" + strings.Repeat("x", 5000), nil, "request refused",
			map[string]any{"reason": "unknown_transport"}},
		{"method", "PUT", "EIO=4&transport=polling", nil, "request refused", map[string]any{"reason": "bad_handshake_method", "method": "PUT"}},
		{"no websocket", "GET", "EIO=4&transport=websocket", nil, "request refused", map[string]any{"reason": "bad_request", "error": "transport=websocket without an upgrade: " +
			"a proxy in front does not pass on the headers Upgrade and Connection, or the client sends none"}},
		{"origin", "GET", "EIO=4&transport=polling", []string{"Origin", "https://evil.example.com"}, "origin refused",
			map[string]any{"origin": "https://evil.example.com", "reason": "only the same origin is allowed: no cors origins are set"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := newLogFile(t, "caddy.log")
			s := startServer(t, "socketio_stream", log.own())
			do(s.raw(test.headers...).Do(t.Context(), test.method, test.query, nil, nil))(t)
			line := log.wait(test.message, 1)[0]
			expectFields(t, line, test.want)
			expectFields(t, line, map[string]any{"level": "warn", "hub": onlyHub(t), "client_ip": "127.0.0.1"})
			if text := log.text(); len(text) > 1000 || strings.Contains(text, "AAAA") || strings.ContainsRune(text, 0x1b) {
				t.Errorf("the log:\n%s", text)
			}
		})
	}
}

// TestFloodOfRefusalsIsCounted makes 10,000 bad requests: the lines are few, and they add up.
func TestFloodOfRefusalsIsCounted(t *testing.T) {
	const workers, each = 8, 1250
	log := newLogFile(t, "caddy.log")
	s := startServer(t, "socketio_stream", log.own())
	began := time.Now()
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			client := s.raw()
			for range each {
				query := "EIO=4&transport=polling&sid=gone"
				if worker == 0 {
					query = "EIO=3&transport=polling"
				}
				if answer, err := client.Do(t.Context(), "GET", query, nil, nil); err != nil || answer.Status != 400 {
					t.Errorf("status %d, %v", answer.Status, err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	total := make(map[any]int)
	single, more := log.lines("request refused"), log.lines("more requests refused")
	for _, line := range single {
		total[line["reason"]]++
	}
	for _, line := range more {
		count, _ := line["count"].(float64)
		total[line["reason"]] += int(count)
	}
	if total["unknown_sid"] != (workers-1)*each || total["unsupported_version"] != each || len(total) != 2 {
		t.Errorf("counted %v", total)
	}
	// So many of each reason in each interval, and one that tells of the others.
	took := time.Since(began)
	if lines, most := len(single)+len(more), 2*(logline.First+1)*(int(took/logline.Interval)+2); lines > most {
		t.Errorf("%d lines in %v, of at most %d", lines, took, most)
	}
}
