package relay

import (
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// BenchmarkRelay measures an event on its way from one client, through the
// server, to another: both ends of both connections are in this process.
func BenchmarkRelay(b *testing.B) {
	for _, test := range []struct {
		name   string
		text   string
		binary []string
	}{
		{"text", `2["chat",{"from":"ann","text":"hello"}]`, nil},
		{"binary", `51-["chat",{"from":"ann","chunk":` + eventstest.Placeholder0 + `}]`, []string{strings.Repeat("x", 16<<10)}},
	} {
		b.Run(test.name, func(b *testing.B) {
			s := eventstest.NewServer(b, &Set{Events: []string{"chat"}})
			sender, receiver := s.Connect(), s.Connect()
			b.ReportAllocs()
			for b.Loop() {
				if err := sender.TrySend(test.text, test.binary...); err != nil {
					b.Fatal(err)
				}
				receiver.Next()
			}
		})
	}
}
