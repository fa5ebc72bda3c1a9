package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestReloadThatFailsChangesNothing holds that a config which fails, however early or late, leaves
// behind nothing that can be seen: not for those who are in, not for those who come, not in the log,
// and not in the list of hubs.
func TestReloadThatFailsChangesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	const site = `socketio_stream {
	ping_interval 30s
	drain 30s
	health /health
	cors {
		origins https://a.example.com
	}
	namespace / {
		events streaming
	}
	namespace /gone {
		events streaming
	}
}`
	// It is different in all that may be.
	const next = `handle /other/* {
	socketio_stream {
		hub other
		path /other/
	}
}
handle {
	socketio_stream {
		ping_interval 31s
		drain 1s
		max_connections 1
		limits {
			events_per_socket 1/1h
			allow none
		}
		namespace / {
			auth jwt {
				secret 0123456789012345678901234567890123456789
			}
			events relay chat
		}
	}
}`
	awaitNoHubs(t)
	good, bad := newLogFile(t, "good.log"), newLogFile(t, "bad.log")
	s := startServer(t, site, good.own())
	change := func(change func(config map[string]any)) []byte {
		text, err := s.adapt(next, bad.own())
		if err != nil {
			t.Fatal(err)
		}
		var config map[string]any
		if err := json.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		change(config)
		text, err = json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	addServer := func(listen string, handler map[string]any) func(map[string]any) {
		return func(config map[string]any) {
			servers := config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
			servers["another"] = map[string]any{
				"listen": []string{listen}, "routes": []any{map[string]any{"handle": []any{handler}}},
			}
		}
	}
	nobody := map[string]any{"handler": "static_response"}

	client, err := s.dial("/socket.io/", http.Header{"Origin": {"https://a.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	client.send("40")
	client.wait("40{")
	client.send("40/gone,")
	client.wait("40/gone,{")
	client.send(`420["stream:start",{"streamId":"kept"}]`)
	client.wait("430")
	before := hubs()

	for name, config := range map[string][]byte{
		"another handler wants something else of the hub": change(addServer("127.0.0.1:1", map[string]any{
			"handler": "socketio_stream", "hub": "other", "ping_interval": 1,
		})),
		"another module fails":             change(addServer("127.0.0.1:1", map[string]any{"handler": "encode", "encodings": map[string]any{"gzip": map[string]any{"level": 99}}})),
		"an address is taken at the start": change(addServer(taken.Addr().String(), nobody)),
		"a module fails when all has started": change(func(config map[string]any) {
			config["admin"].(map[string]any)["config"].(map[string]any)["load"] = map[string]any{"module": "nonexistent"}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			// Map iteration makes Caddy provision servers in another order each time.
			for range 3 {
				if err := caddy.Load(config, true); err == nil {
					t.Fatal("it was loaded")
				}
				s.settle()
			}
			if got := hubs(); !slices.Equal(got, before) {
				t.Errorf("hubs %q, before %q", got, before)
			}
			_, handshake := s.request("GET", "/socket.io/?EIO=4&transport=polling", "", "Origin", "https://a.example.com")
			if !strings.Contains(handshake, `"pingInterval":30000`) {
				t.Errorf("handshake %s", handshake)
			}
			newcomer := s.connect("/socket.io/")
			newcomer.send(`42["message","to the namespace"]`)
			if got := client.wait(`42["message"`); got != `42["message","to the namespace"]` {
				t.Errorf("got %s", got)
			}
			for i := range 20 { // more than the limits of the config that has failed
				client.send(fmt.Sprintf(`42/gone,%d["stream:join",{"streamId":"x"}]`, i))
				client.wait(fmt.Sprintf("43/gone,%d[", i))
			}
			client.send(`421["stream:stop",{"streamId":"kept"}]`)
			if got := client.wait("431["); !strings.Contains(got, `"ok"`) && !strings.Contains(got, `true`) {
				t.Errorf("the stream is gone: %s", got)
			}
			client.send(`420["stream:start",{"streamId":"kept"}]`)
			client.wait("430")
		})
	}
	if text := bad.text(); strings.Contains(text, onlyHub(t)) || strings.Contains(text, "hub closed") {
		t.Errorf("a config that has failed logs:\n%s", text)
	}
	if text := good.text(); strings.Contains(text, "hub closed") || strings.Contains(text, "removed") {
		t.Errorf("the log tells of an end:\n%s", text)
	}
	// What the hub logs goes to the config that runs.
	at := len(good.lines("origin refused"))
	s.request("GET", "/socket.io/?EIO=4&transport=polling", "", "Origin", "https://evil.example.net")
	good.wait("origin refused", at+1)
}
