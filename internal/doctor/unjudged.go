package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// nowhere is a namespace that no server has. Every server refuses it at once, whoever asks.
const nowhere = "/doctor-asks-for-nothing"

// A server tells a client nothing while it cannot find out who that is. It is as silent then as one
// behind a proxy that holds answers back, but for other namespaces.

// isHeard reports whether a new session on polling is answered that asks for no namespace there is.
func (d *visit) isHeard(ctx context.Context, path string) bool {
	s, _ := d.handshake(ctx, path, nil)
	if s == nil {
		return false
	}
	defer s.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pending := make(chan answer, 1)
	go func() { pending <- s.poll(ctx, d.Timeout) }()
	if post := s.post(ctx, "40"+nowhere+","); post.err != nil || post.status != http.StatusOK {
		cancel()
		<-pending
		return false
	}
	poll := <-pending
	for range maxPolls {
		if poll.err != nil || poll.status != http.StatusOK {
			return false
		}
		for _, packet := range poll.packets() {
			if strings.HasPrefix(packet, "44"+nowhere) {
				return true
			}
			if packet == "2" {
				s.post(ctx, "3")
			}
		}
		poll = s.poll(ctx, d.Timeout)
	}
	return false
}

// isHeardBySocket is isHeard for a WebSocket that is open.
func isHeardBySocket(s *socket) bool {
	if s.write("40"+nowhere+",") != nil {
		return false
	}
	_, err := s.await("44" + nowhere)
	return err == nil
}

// tellUnjudged says that the server cannot say whether this client may come in.
func (d *visit) tellUnjudged(path string, a answer) {
	d.refused = true
	if d.report.hasAt("namespace-unjudged", path) {
		return
	}
	d.tell(Problem, place{"namespace", path}, "namespace-unjudged", fmt.Sprintf("The server answers, and not whether %s may be joined: "+
		"it waits for an auth backend, or for the keys of an issuer. Its log says which.", d.Namespace), &a)
}
