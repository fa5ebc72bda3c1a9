package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestAThousandClientsComeThroughASlowBackend has a thousand clients connect at once, as after a
// restart, with a real backend that takes half a second for each. 64 questions at a time take eight
// seconds for them, four times the timeout of an answer. All come in.
func TestAThousandClientsComeThroughASlowBackend(t *testing.T) {
	const clients, takes = 1000, 500 * time.Millisecond
	var asked atomic.Int32
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		// The backend's own work.
		time.Sleep(takes)
		_, _ = io.WriteString(w, `{"id":"u"}`)
	}))
	t.Cleanup(backend.Close)
	s := startServer(t, "socketio_stream {\n auth http "+backend.URL+"\n}")
	conns := make([]*socket, clients)
	for i := range conns {
		c, err := s.dial("/socket.io/", nil)
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	begun := time.Now()
	var in atomic.Int32
	var running sync.WaitGroup
	for i, c := range conns {
		running.Go(func() {
			c.send(fmt.Sprintf(`40{"i":%d}`, i))
			if packet, _ := c.next(); accepted(packet) {
				in.Add(1)
			} else {
				t.Errorf("client %d got %q", i, packet)
			}
		})
	}
	running.Wait()
	t.Logf("%d of %d are in after %s, %d questions", in.Load(), clients, time.Since(begun).Round(10*time.Millisecond), asked.Load())
	if in.Load() != clients {
		t.Errorf("%d of %d are in", in.Load(), clients)
	}
}
