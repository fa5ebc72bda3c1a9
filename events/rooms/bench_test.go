package rooms_test

import (
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/events/relay"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// BenchmarkRelay measures an event on its way from one client, through the server, to another, as it is
// declared, beside the event set that does nothing else.
func BenchmarkRelay(b *testing.B) {
	payloads := []struct {
		name   string
		text   string
		binary []string
	}{
		{"text", `2["chat","kitchen",{"from":"ann","text":"hello"}]`, nil},
		{"long text", `2["chat","kitchen",{"from":"ann","text":"` + strings.Repeat("hello ", 2<<10) + `"}]`, nil},
		{"binary", `52-["chat","kitchen",` + eventstest.Placeholder0 + `,` + placeholder1 + `]`, []string{strings.Repeat("x", 16<<10), "iv"}},
	}
	for _, set := range []struct {
		name string
		set  streaming.EventSet
	}{
		{"relay", &relay.Set{Events: []string{"chat", "join"}}},
		{"rooms", declared(b, `
			on join <room> join {room}
			on chat <room> <data> <iv?> to {room} emit chat {data} {iv}
		`)},
	} {
		for _, payload := range payloads {
			b.Run(payload.name+"/"+set.name, func(b *testing.B) {
				s := eventstest.NewServer(b, set.set)
				sender, receiver := s.Connect(), s.Connect()
				receiver.Send(`21["join","kitchen"]`)
				receiver.Next()
				if _, err := sender.CatchUp(); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := sender.TrySend(payload.text, payload.binary...); err != nil {
						b.Fatal(err)
					}
					receiver.Next()
				}
			})
		}
	}
}
