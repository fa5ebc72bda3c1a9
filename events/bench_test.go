package events

import (
	"strings"
	"testing"
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
		{"binary", `51-["chat",{"from":"ann","chunk":` + placeholder0 + `}]`, []string{strings.Repeat("x", 16<<10)}},
	} {
		b.Run(test.name, func(b *testing.B) {
			s := newService(b, &Relay{Events: []string{"chat"}})
			sender, receiver := s.connect(), s.connect()
			b.ReportAllocs()
			for b.Loop() {
				if err := sender.trySend(test.text, test.binary...); err != nil {
					b.Fatal(err)
				}
				receiver.next()
			}
		})
	}
}
