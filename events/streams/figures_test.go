package streams

import (
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func TestFiguresOfStreams(t *testing.T) {
	s := newServer(t, &Set{Replay: ReplayFirst})
	streams := s.table()
	kept := func() (onAir, bytes int) {
		streams.mu.Lock()
		defer streams.mu.Unlock()
		return len(streams.byID), streams.replayBytes
	}
	expect := func(name string, want float64) {
		t.Helper()
		for _, figure := range s.Metrics().Namespaces[0].Figures {
			if figure.Name == name {
				if figure.Value != want {
					t.Errorf("%s is %v, want %v", name, figure.Value, want)
				}
				return
			}
		}
		t.Errorf("%s is not told", name)
	}
	expect("streams", 0)
	expect("streams_started_total", 0)
	owner := s.Connect()
	owner.start("one")
	owner.start("two")
	owner.start("two") // anew
	expect("streams", 2)
	expect("streams_started_total", 2)
	owner.Send(`21["stream:data",{"streamId":"one","text":"hello"}]`)
	owner.Expect(`31[{"success":true}]`)
	_, bytes := kept()
	if bytes == 0 {
		t.Error("nothing is kept")
	}
	expect("stream_replay_bytes", float64(bytes))
	// Sets that take the place of these go on counting.
	if err := s.Of("/").Use(new(Set)); err != nil {
		t.Fatal(err)
	}
	owner.Close()
	eventstest.Eventually(t, "the streams to end", func() bool {
		onAir, _ := kept()
		return onAir == 0
	})
	expect("streams", 0)
	expect("streams_started_total", 2)
	expect("stream_replay_bytes", 0)
}

// TestFiguresAreKnown holds that all that is told is registered.
func TestFiguresAreKnown(t *testing.T) {
	s := newServer(t, new(Set))
	known := make(map[streaming.Figure]bool)
	for _, figure := range streaming.Figures() {
		known[figure] = true
	}
	told := s.Metrics().Namespaces[0].Figures
	for _, figure := range told {
		if !known[figure.Figure] {
			t.Errorf("%s is told and not known", figure.Name)
		}
	}
	if len(told) != len(known) {
		t.Errorf("%d figures are told of %d", len(told), len(known))
	}
}
