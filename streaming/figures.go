package streaming

import (
	"runtime/debug"
	"slices"

	"github.com/caddy-socketio/socketio-stream/streaming/measure"
)

// Figure is something that an event set tells those who run the server.
type Figure struct {
	// Name is in snake_case with the unit, if there is one, at its end; that of a counter ends in
	// "_total". No other set may use the same one.
	Name string
	// Help says in a few words what it is.
	Help string
	// Counter is true for what only grows, see [Namespace.Counter], and false for what rises and
	// falls, see [Handlers.Gauge].
	Counter bool
}

// FigureValue is a figure and what it is now.
type FigureValue struct {
	Figure
	Value float64
}

// figures are those that were registered.
var figures []Figure

// RegisterFigures makes figures of an event set known to whoever shows them, and must know them
// before a server has any. An event set calls it when the program starts, from an init function.
func RegisterFigures(more ...Figure) { figures = append(figures, more...) }

// Figures returns the figures that were registered, in the order in which they were. Nobody has
// looked whether their names differ.
func Figures() []Figure { return slices.Clone(figures) }

// gauge is a figure that is read when it is asked for.
type gauge struct {
	figure Figure
	read   func() float64
}

// Gauge adds a figure of the namespace that rises and falls. read is called whenever somebody wants
// to know, from any goroutine, and must not wait.
func (h *Handlers) Gauge(figure Figure, read func() float64) {
	h.gauges = append(h.gauges, gauge{figure, read})
}

// Counter returns the counter of a figure of this namespace, the same one each time: it outlives
// event sets, and also the namespace.
func (n *Namespace) Counter(figure Figure) *measure.Counter { return n.counts.counter(figure) }

// readGauge reads a gauge. One that panics is not told.
func (n *Namespace) readGauge(g gauge) (value float64, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			n.server.logger.Error("panic while reading a figure",
				"namespace", n.name, "figure", g.figure.Name, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	return g.read(), true
}
