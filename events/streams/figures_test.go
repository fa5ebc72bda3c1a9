package streams

import (
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

func TestFiguresOfStreams(t *testing.T) {
	s := newServer(t, &Set{Replay: ReplayFirst})
	expect := func(figure streaming.Figure, want float64) {
		t.Helper()
		if got := s.Figure(figure); got != want {
			t.Errorf("%s is %v, want %v", figure.Name, got, want)
		}
	}
	expect(streamsFigure, 0)
	expect(startedFigure, 0)
	owner := s.Connect()
	owner.start("one")
	owner.start("two")
	owner.start("two") // anew
	expect(streamsFigure, 2)
	expect(startedFigure, 2)
	owner.Send(`21["stream:data",{"streamId":"one","text":"hello"}]`)
	owner.Expect(`31[{"success":true}]`)
	bytes := s.kept()
	if bytes == 0 {
		t.Error("nothing is kept")
	}
	expect(replayBytesFigure, float64(bytes))
	// Sets that take the place of these go on counting.
	if err := s.UseSets(new(Set)); err != nil {
		t.Fatal(err)
	}
	owner.Close()
	owner.Gone()
	expect(streamsFigure, 0)
	expect(startedFigure, 2)
	expect(replayBytesFigure, 0)
}

func TestFiguresAreKnown(t *testing.T) { newServer(t, new(Set)).ExpectKnownFigures() }
