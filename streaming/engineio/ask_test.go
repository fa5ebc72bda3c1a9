package engineio

import (
	"strings"
	"testing"
)

// TestWhatWaitsExcusesSilence asks a client that reads nothing. A few bytes that wait before the
// question, if only until the writer has noted that they are written, are no excuse; many are.
func TestWhatWaitsExcusesSilence(t *testing.T) {
	for _, test := range []struct {
		size int
		want bool
	}{{0, false}, {1, false}, {4 << 10, false}, {64 << 10, true}} {
		inBubble(t, func(t *testing.T) {
			s := newEngineInBubble(t, Options{})
			_, r := s.connectPipe(t)
			if test.size > 0 {
				r.session.Send(text(strings.Repeat("x", test.size)))
			}
			answered, excused := r.session.Ask()
			if answered() || excused() != test.want {
				t.Errorf("%d bytes before the question: answered %t, excused %t", test.size, answered(), excused())
			}
		})
	}
}
