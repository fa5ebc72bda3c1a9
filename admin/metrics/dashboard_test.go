package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-socketio/socketio-stream/internal/documents"
)

// metricNames finds the names of metrics in a text.
var metricNames = regexp.MustCompile(prefix + `[a-z_]+`)

// named returns the metric that a name in a query means, or nil: a histogram has names for its
// parts.
func (c *catalog) named(name string) *metric {
	name = strings.TrimPrefix(name, prefix)
	for _, m := range c.metrics {
		if m.name == name && !m.isHistogram() {
			return m
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if m.isHistogram() && m.name+part == name {
				return m
			}
		}
	}
	return nil
}

func (m *metric) isHistogram() bool { return m.kind == prometheus.UntypedValue }

// TestDashboardShowsTheMetrics holds that every query of the dashboard asks for a metric there is,
// by labels it has, and that every metric is asked for.
func TestDashboardShowsTheMetrics(t *testing.T) {
	type panel struct {
		Title   string
		Type    string
		Targets []struct{ Expr string }
	}
	var dashboard struct {
		Panels     []panel
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	text, err := os.ReadFile("../../examples/grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	grouping := regexp.MustCompile(`by \(([^)]*)\)`)
	shown := make(map[*metric]bool)
	check := func(where, expression string) {
		names := metricNames.FindAllString(expression, -1)
		if len(names) == 0 {
			t.Errorf("%s asks for none of the metrics: %s", where, expression)
		}
		for _, name := range names {
			m := told(t).named(name)
			if m == nil {
				t.Errorf("%s asks for %s, which there is not", where, name)
				continue
			}
			shown[m] = true
			for _, by := range grouping.FindAllStringSubmatch(expression, -1) {
				for label := range strings.SplitSeq(by[1], ", ") {
					if label != "hub" && label != "le" && !slices.Contains(m.labels, label) {
						t.Errorf("%s groups %s by %s, which it has not", where, name, label)
					}
				}
			}
		}
	}
	for _, panel := range dashboard.Panels {
		if panel.Type == "row" {
			continue
		}
		if len(panel.Targets) == 0 {
			t.Errorf("%q asks for nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			check(panel.Title, target.Expr)
			if !strings.Contains(target.Expr, `hub=~"$hub"`) {
				t.Errorf("%q does not ask for the chosen hubs: %s", panel.Title, target.Expr)
			}
		}
	}
	var variables []string
	for _, variable := range dashboard.Templating.List {
		variables = append(variables, variable.Name)
		if variable.Type == "query" {
			check("the variable "+variable.Name, variable.Definition)
		}
	}
	if !slices.Equal(variables, []string{"datasource", "hub"}) {
		t.Errorf("the variables are %v", variables)
	}
	for _, m := range told(t).metrics {
		if !shown[m] {
			t.Errorf("no panel shows %s", m.name)
		}
	}
}

// TestManualNamesTheMetrics holds that the table in the manual has all metrics, and no others.
func TestManualNamesTheMetrics(t *testing.T) {
	var inTable []string
	for line := range strings.Lines(documents.Section(t, "Metrics")) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		inTable = append(inTable, name)
		var labels []string
		for label := range strings.SplitSeq(strings.ReplaceAll(cells[3], "`", ""), ",") {
			if label = strings.TrimSpace(label); label != "" {
				labels = append(labels, label)
			}
		}
		for _, m := range told(t).metrics {
			if m.name == name && !slices.Equal(labels, m.labels) {
				t.Errorf("%s has the labels %v, and the table says %v", name, m.labels, labels)
			}
		}
	}
	slices.Sort(inTable)
	var names []string
	for _, m := range told(t).metrics {
		names = append(names, m.name)
	}
	slices.Sort(names)
	if !slices.Equal(inTable, names) {
		t.Errorf("the table has %v, and told are %v", inTable, names)
	}
}
