package auth

import (
	"sync"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Measured is a [streaming.Authenticator] that tells figures.
type Measured interface {
	// Measure has the figures counted for a namespace that it is the authenticator of.
	Measure(n *streaming.Namespace, h *streaming.Handlers)
}

// What a backend tells of its questions.
var (
	figureWaiting = streaming.Figure{
		Name: "auth_questions_waiting", Help: "Questions to an auth backend that wait for their turn.",
	}
	figureAsked = streaming.Figure{
		Name: "auth_questions_asked_total", Help: "Questions that an auth backend was asked.", Counter: true,
	}
	figureShared = streaming.Figure{
		Name: "auth_questions_shared_total", Help: "Clients that waited for the answer to an equal question.", Counter: true,
	}
	figureGivenUp = streaming.Figure{
		Name: "auth_questions_given_up_total", Help: "Clients that did not wait for the answer of an auth backend.", Counter: true,
	}
)

func init() { streaming.RegisterFigures(figureWaiting, figureAsked, figureShared, figureGivenUp) }

// backendFigures are those of the namespaces that ask a backend, by name.
type backendFigures struct{ byName sync.Map }

// namespaceFigures are those of one namespace. A nil pointer counts nothing.
type namespaceFigures struct {
	namespace *streaming.Namespace
	waiting   atomic.Int64
}

// Measure implements Measured.
func (b *Backend) Measure(n *streaming.Namespace, h *streaming.Handlers) {
	// Questions that wait go on to be counted where they are.
	f := &namespaceFigures{namespace: n}
	b.figures.byName.Store(n.Name(), f)
	h.Gauge(figureWaiting, func() float64 { return float64(f.waiting.Load()) })
	for _, figure := range []streaming.Figure{figureAsked, figureShared, figureGivenUp} {
		n.Counter(figure)
	}
}

// of returns the figures of a namespace.
func (f *backendFigures) of(namespace string) *namespaceFigures {
	found, ok := f.byName.Load(namespace)
	if !ok {
		return nil
	}
	return found.(*namespaceFigures)
}

// add counts one for a figure.
func (f *namespaceFigures) add(figure streaming.Figure) {
	if f != nil {
		f.namespace.Counter(figure).Add(0, 1)
	}
}

// waits counts questions that wait.
func (f *namespaceFigures) waits(more int64) {
	if f != nil {
		f.waiting.Add(more)
	}
}
