package main

import (
	"slices"
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

func TestTableComparesWithAndWithoutCompression(t *testing.T) {
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == "compression" })
	stacks := takingPart(scenarios[i], stack.All)
	var names []string
	for _, st := range stacks {
		names = append(names, st.Name)
	}
	if !slices.Equal(names, compressing) {
		t.Fatalf("%q take part", names)
	}
	results := make(map[string]rounds)
	for i, cost := range []float64{3, 6, 10, 20} {
		results[names[i]] = rounds{{Values: map[string]float64{"cpu_us_per_delivery": cost}}}
	}
	var out strings.Builder
	printTable(&out, scenarios[i], stacks, results)
	for _, want := range []string{
		"| stack | server CPU µs/delivery | × peer | × without | wire bytes/delivery |",
		"| this module, TLS | 3.00 | 0.30 | – |",
		"| this module, TLS, compression | 6.00 | 0.30 | 2.00 |",
		"| nginx + Node, TLS, compression | 20.00 | 1.00 | 2.00 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestStacksThatCompressStayOutOfOtherScenarios(t *testing.T) {
	for _, s := range scenarios {
		for _, st := range takingPart(s, stack.All) {
			if st.Without != "" && !slices.Equal(s.only, compressing) {
				t.Errorf("%s takes part in %s", st.Name, s.name)
			}
		}
	}
}

func TestCellOfNothing(t *testing.T) {
	if got := cell(make([]figure, 3), 1); got != "–" {
		t.Errorf("got %q", got)
	}
}
