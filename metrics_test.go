package socketiostream

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-socketio/socketio-stream/events/eventscaddy"
	"github.com/caddy-socketio/socketio-stream/events/sessions"
	shown "github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/internal/documents"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// newMeasuredHub makes a hub as far as the metrics need it.
func newMeasuredHub(t *testing.T, name string) *hub {
	t.Helper()
	h := &hub{name: name, server: streaming.New(streaming.Options{}, nil)}
	if err := h.server.Of("/").Use(&eventscaddy.Streaming{}, &sessions.Set{}); err != nil {
		t.Fatal(err)
	}
	h.show()
	t.Cleanup(func() {
		h.hide()
		h.server.Close()
	})
	return h
}

// told returns the catalog.
func told(t *testing.T) *catalog {
	t.Helper()
	c, err := wholeCatalog()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// gather asks a registry for the metrics, by name.
func gather(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector{told(t), shown.All()}); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*dto.MetricFamily)
	for _, family := range families {
		byName[family.GetName()] = family
	}
	return byName
}

// label returns the value of a label.
func label(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// TestMetricsAreComplete holds that a hub tells all that is described, and
// follows the rules for names.
func TestMetricsAreComplete(t *testing.T) {
	newMeasuredHub(t, "only")
	families := gather(t)
	for _, m := range told(t).metrics {
		if families[metricsPrefix+m.name] == nil {
			t.Errorf("%s is described, and not told", m.name)
		}
	}
	var all []*dto.MetricFamily
	for _, family := range families {
		all = append(all, family)
	}
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

// TestMetricsOfTwoHubs holds that hubs are told apart, and that one takes the place of another of its name.
func TestMetricsOfTwoHubs(t *testing.T) {
	first, second := newMeasuredHub(t, "first"), newMeasuredHub(t, "second")
	first.server.CountRefusal(engineio.CodeForbidden)
	second.server.CountRefusal(engineio.CodeForbidden)
	second.server.CountRefusal(engineio.CodeForbidden)
	forbidden := func() map[string]float64 {
		values := make(map[string]float64)
		for _, m := range gather(t)[metricsPrefix+"refused_requests_total"].GetMetric() {
			if label(m, "reason") == "forbidden" {
				values[label(m, "hub")] = m.GetCounter().GetValue()
			}
		}
		return values
	}
	if got := forbidden(); len(got) != 2 || got["first"] != 1 || got["second"] != 2 {
		t.Errorf("got %v", got)
	}
	// One that has left its place must not take its successor along.
	newMeasuredHub(t, "first")
	first.hide()
	if got := forbidden(); len(got) != 2 || got["first"] != 0 {
		t.Errorf("got %v", got)
	}
}

func TestMetricsOfDistributions(t *testing.T) {
	hub := newMeasuredHub(t, "only")
	metrics := hub.server.Metrics()
	latency := &metrics.Engine.HeartbeatLatency
	latency.Add(latency.Scale.Range(2_000_000), 2_000_000)           // 2 ms
	latency.Add(latency.Scale.Range(60_000_000_000), 60_000_000_000) // 60 s
	for _, s := range told(t).samples(metrics) {
		if s.metric != metricHeartbeatLatency {
			continue
		}
		var written dto.Metric
		if err := s.prometheus("only").Write(&written); err != nil {
			t.Fatal(err)
		}
		histogram := written.GetHistogram()
		if histogram.GetSampleCount() != 2 || histogram.GetSampleSum() != 60.002 {
			t.Errorf("got %v", histogram)
		}
		for _, bucket := range histogram.GetBucket() {
			want := uint64(0)
			if bucket.GetUpperBound() >= 0.0025 {
				want = 1
			}
			if bucket.GetCumulativeCount() != want {
				t.Errorf("up to %v s: %d, want %d", bucket.GetUpperBound(), bucket.GetCumulativeCount(), want)
			}
		}
	}

	status, err := json.Marshal(metricsStatusOf(metrics))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"heartbeat_latency_seconds":[{"buckets":[{"le":0.0005,"count":0},{"le":0.001,"count":0},{"le":0.0025,"count":1},`,
		`{"le":30,"count":1}],"count":2,"sum":60.002}]`,
		`"connections":[{"protocol":"4","transport":"polling","value":0},{"protocol":"4","transport":"websocket","value":0}]`,
		`"streams":[{"namespace":"/","value":0}]`,
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("%s is not in %s", want, status)
		}
	}
}

func TestFigureOfATakenNameIsRefused(t *testing.T) {
	streams, connections := streaming.Figure{Name: "streams", Help: "Streams."}, streaming.Figure{Name: "connections", Help: "Lines."}
	for _, test := range []struct {
		figures []streaming.Figure
		want    string
	}{
		{[]streaming.Figure{streams, {Name: "streams", Help: "Rivers."}}, `two metrics are named "streams": "Streams." and, of an event set, "Rivers."`},
		{[]streaming.Figure{connections, streams}, `two metrics are named "connections": "Clients that are connected." and, of an event set, "Lines."`},
	} {
		c, err := newCatalog(test.figures)
		if err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
		if len(c.figures) != 1 || len(c.metrics) != len(ownMetrics)+1 || c.figures["streams"].help != streams.Help {
			t.Errorf("%v: the figures are %v", test.figures, c.figures)
		}
	}
}

// metricNames finds the names of metrics in a text.
var metricNames = regexp.MustCompile(metricsPrefix + `[a-z_]+`)

// named returns the metric that a name in a query means, or nil: a histogram has names for its parts.
func (c *catalog) named(name string) *metric {
	name = strings.TrimPrefix(name, metricsPrefix)
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

// TestDashboardShowsTheMetrics holds that every query of the dashboard asks for a metric there is, by labels it has, and
// that every metric is asked for.
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
	text, err := os.ReadFile("examples/grafana/dashboard.json")
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
