package engineio

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// BenchmarkAnswer has clients ask and wait for the answer, over connections of
// the loopback interface. It reports the processor time of a question, client
// included.
func BenchmarkAnswer(b *testing.B) {
	for _, clients := range []int{1, 16, 200} {
		b.Run(fmt.Sprint(clients, " clients"), func(b *testing.B) {
			s := newServer(b, Options{})
			s.Server.accept = func(session *Session) Listener {
				w := &worker{session: session, closed: make(chan Reason, 1)}
				answer := text("answer")
				w.work = func(string) { session.Answer(answer) }
				return w
			}
			conns := make([]*rawclient.Conn, clients)
			for i := range conns {
				conns[i] = need(s.client.Connect(b.Context()))(b)
			}
			began := processorTime()
			b.ResetTimer()
			var asking sync.WaitGroup
			for i, conn := range conns {
				asking.Go(func() {
					for n := i; n < b.N; n += clients {
						if conn.WriteText("4question") != nil {
							b.Error("cannot send")
							return
						}
						if _, err := conn.ReadText(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			asking.Wait()
			b.StopTimer()
			b.ReportMetric(float64((processorTime()-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
			for _, conn := range conns {
				_ = conn.Close()
			}
		})
	}
}

// processorTime is what this process has used of the processors.
func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
