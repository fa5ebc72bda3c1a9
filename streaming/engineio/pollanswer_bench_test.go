package engineio

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// discarded is a response that nobody looks at.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d discarded) WriteHeader(int)             {}

// BenchmarkAnswerPoll answers polls with one message.
func BenchmarkAnswerPoll(b *testing.B) {
	for _, size := range []int{100, 10_000, 1 << 20} {
		for name, m := range map[string]*wire.Message{
			"text":   text(strings.Repeat("x", size)),
			"binary": wire.New(nil, [][]byte{make([]byte, size)}, 0),
		} {
			b.Run(fmt.Sprint(name, " ", size), func(b *testing.B) {
				s := newEngine(b, Options{})
				r := s.pollIn(b)
				request := newRequest(b, http.MethodGet, rawclient.Query(rawclient.Polling, r.session.id), nil)
				w := discarded{make(http.Header)}
				b.ReportAllocs()
				for b.Loop() {
					r.session.Send(m)
					s.ServeHTTP(w, request)
				}
			})
		}
	}
}
