package main

import (
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/bench/load"
	"github.com/caddy-socketio/socketio-stream/bench/stack"
)

func TestTableTakesRatiosRoundByRound(t *testing.T) {
	result := func(cost float64) *load.Result {
		return &load.Result{Values: map[string]float64{"cpu_us_per_delivery": cost}}
	}
	results := map[string]rounds{
		"this module": {result(2), result(3), nil},
		"Node":        {result(8), result(6), result(7)},
	}
	s := scenario{title: "T", main: fanoutMain}
	var out strings.Builder
	printTable(&out, s, []stack.Stack{{Name: "this module"}, {Name: "Node"}}, results)
	for _, want := range []string{
		"| this module | 2.50 (2.00–3.00) | 0.38 (0.25–0.50) |",
		"| Node | 7.00 (6.00–8.00) | 1.00 |",
		"this module: a round failed, see above",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestCellOfNothing(t *testing.T) {
	if got := cell(make([]figure, 3), 1); got != "–" {
		t.Errorf("got %q", got)
	}
}
