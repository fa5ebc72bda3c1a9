package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/bench/load"
	"github.com/caddy-socketio/socketio-stream/bench/stack"
)

// rounds are the results of one stack, one for each repetition; nil where it failed.
type rounds []*load.Result

// references are what the ratios of stacks over TLS and of plain ones are taken against.
var references = map[bool]struct{ peer, floor string }{
	true:  {peer: "nginx + Node, TLS", floor: "floor joined, TLS"},
	false: {peer: "Node", floor: "floor joined"},
}

// compressingPeer is what the ratio of a stack that compresses is taken against: the peer that
// compresses too.
const compressingPeer = "nginx + Node, TLS, compression"

// reference is what a stack is compared with.
func reference(st stack.Stack) (peer, floor string) {
	other := references[st.TLS]
	if st.Without != "" {
		other.peer = compressingPeer
	}
	return other.peer, other.floor
}

// printTable writes the scenario's Markdown table: medians, and from the smallest to the largest in
// parentheses.
func printTable(w io.Writer, s scenario, stacks []stack.Stack, results map[string]rounds) {
	fmt.Fprintf(w, "\n### %s\n\n", s.title)
	header := []string{"stack", s.main.title}
	if !s.alone {
		header = append(header, "× peer")
	}
	if !s.alone && s.floors {
		header = append(header, "× floor")
	}
	ratios := len(header) - 2
	comparesWithout := slices.ContainsFunc(stacks, func(st stack.Stack) bool { return st.Without != "" })
	if comparesWithout {
		header = append(header, "× without")
	}
	for _, c := range s.columns {
		header = append(header, c.title)
	}
	printRow(w, header)
	fmt.Fprintln(w, "|---|"+strings.Repeat("---:|", len(header)-1))
	for _, st := range stacks {
		mine := results[st.Name]
		peer, floor := reference(st)
		row := []string{st.Name, cell(values(mine, s.main.key), s.main.digits)}
		for _, other := range []string{peer, floor}[:ratios] {
			row = append(row, cell(ratio(values(mine, s.main.key), values(results[other], s.main.key)), 2))
		}
		if comparesWithout {
			row = append(row, cell(ratio(values(mine, s.main.key), values(results[st.Without], s.main.key)), 2))
		}
		for _, c := range s.columns {
			row = append(row, cell(values(mine, c.key), c.digits))
		}
		printRow(w, row)
	}
	for _, st := range stacks {
		for _, note := range notes(results[st.Name]) {
			fmt.Fprintf(w, "\n%s: %s\n", st.Name, note)
		}
	}
}

func printRow(w io.Writer, cells []string) {
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}

// figure is one measured value; a round that failed, or a stack that does not tell it, leaves it
// absent.
type figure struct {
	value   float64
	present bool
}

func values(all rounds, key string) []figure {
	figures := make([]figure, len(all))
	for i, result := range all {
		if result != nil {
			figures[i].value, figures[i].present = result.Values[key]
		}
	}
	return figures
}

// ratio divides round by round: only what was measured in the same round is compared.
func ratio(mine, others []figure) []figure {
	ratios := make([]figure, min(len(mine), len(others)))
	for i := range ratios {
		if mine[i].present && others[i].present && others[i].value != 0 {
			ratios[i] = figure{mine[i].value / others[i].value, true}
		}
	}
	return ratios
}

// cell is the median of the figures and, of several, their spread.
func cell(figures []figure, digits int) string {
	present := sorted(figures)
	if len(present) == 0 {
		return "–"
	}
	text := fmt.Sprintf("%.*f", digits, median(present))
	if low, high := present[0], present[len(present)-1]; low != high {
		text += fmt.Sprintf(" (%.*f–%.*f)", digits, low, digits, high)
	}
	return text
}

// sorted are the figures that are present, the smallest first.
func sorted(figures []figure) (present []float64) {
	for _, f := range figures {
		if f.present {
			present = append(present, f.value)
		}
	}
	slices.Sort(present)
	return present
}

// median is the middle of sorted figures, or the mean of the two in the middle.
func median(sorted []float64) float64 {
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// notes are the different notes of all rounds.
func notes(all rounds) (texts []string) {
	for _, result := range all {
		if result == nil {
			texts = append(texts, "a round failed, see above")
			continue
		}
		texts = append(texts, result.Notes...)
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}
