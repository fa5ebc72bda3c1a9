package integration

import (
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

// TestOldClients holds that clients of Socket.IO 2 are refused as Node's server does it, that the log says
// what lets them in, that a reload does, and that operators can tell them apart.
func TestOldClients(t *testing.T) {
	log := newLogFile(t, "caddy.log")
	awaitNoHubs(t)
	address := "localhost:" + testport.Reserve(t)
	s := startServer(t, "socketio_stream {\n hub old\n}", log.own(), "admin "+address)
	const query = "EIO=3&transport=polling"
	answer := do(s.raw().Do(t.Context(), "GET", query, nil, nil))(t)
	if answer.Status != 400 || answer.Body != `{"code":5,"message":"Unsupported protocol version"}` {
		t.Errorf("answered %d %s", answer.Status, answer.Body)
	}
	line := log.wait("request refused", 1)[0]
	if text, _ := line["error"].(string); !strings.Contains(text, "allow_eio3 lets them in") {
		t.Errorf("the log says %v", line)
	}

	if err := s.load("route {\n metrics /metrics\n socketio_stream {\n hub old\n allow_eio3\n}\n}", log.own(), "admin "+address); err != nil {
		t.Fatal(err)
	}
	conn := do(s.raw().Dial(t.Context(), "EIO=3&transport=websocket"))(t)
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.ReadOpen(); err != nil {
		t.Fatal(err)
	}
	if text := do(conn.ReadText())(t); text != "40" {
		t.Errorf("got %q", text)
	}
	other := s.connect("/socket.io/")
	got := s.metrics()
	for name, want := range map[string]float64{
		`connections{hub="old",protocol="3",transport="websocket"}`:      1,
		`connections{hub="old",protocol="3",transport="polling"}`:        0,
		`connections{hub="old",protocol="4",transport="websocket"}`:      1,
		`handshakes_total{hub="old",protocol="3",transport="websocket"}`: 1,
	} {
		if is, told := got[name]; !told || is != want {
			t.Errorf("%s is %v (told: %v), want %v", name, is, told, want)
		}
	}
	table := mustCommand(t, "ls", "sockets", "--address", address)
	if strings.Count(table, "websocket EIO3  127.0.0.1") != 1 || strings.Count(table, "websocket       127.0.0.1") != 1 {
		t.Errorf("the sockets are listed as\n%s", table)
	}
	if list := mustCommand(t, "ls", "sockets", "--json", "--address", address); !strings.Contains(list, `"protocol":3,`) || strings.Contains(list, conn.Open.SID) {
		t.Errorf("the sockets are listed as\n%s", list)
	}
	// Only the pages of the list of origins may read by script elements.
	for page, status := range map[string]int{"http://127.0.0.1:" + s.port + "/page": 200, "https://evil.example.net/": 403} {
		client := s.raw("Referer", page)
		if answer := do(client.Do(t.Context(), "GET", query+"&j=0", nil, nil))(t); answer.Status != status {
			t.Errorf("a script of %s is answered %d, want %d", page, answer.Status, status)
		}
	}

	// Clients that are in stay when the option goes.
	if err := s.load("socketio_stream {\n hub old\n}", log.own(), "admin "+address); err != nil {
		t.Fatal(err)
	}
	other.send(`42["message","still here"]`)
	if text := do(conn.ReadText())(t); text != `42["message","still here"]` {
		t.Errorf("got %q", text)
	}
	if _, err := s.raw().Dial(t.Context(), "EIO=3&transport="+rawclient.WebSocket); err == nil {
		t.Error("another one is let in")
	}
}
