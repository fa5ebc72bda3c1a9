package metrics

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/events/sessions"
	"github.com/caddy-socketio/socketio-stream/events/streams"
	"github.com/caddy-socketio/socketio-stream/publish"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/presence"
	"github.com/caddy-socketio/socketio-stream/streaming/redis"
)

// newServer makes a server of which everything is told that can be.
func newServer(t *testing.T) *streaming.Server {
	t.Helper()
	server := streaming.New(streaming.Options{Adapter: redis.NewNode().Adapter}, nil)
	t.Cleanup(server.Close)
	backend, err := auth.NewBackend(auth.BackendOptions{URL: "http://127.0.0.1/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Of("/").Use(new(streams.Set), new(sessions.Set), backendFigures{backend}, publish.Figures{}, cluster{}); err != nil {
		t.Fatal(err)
	}
	return server
}

// cluster is an event set that has its namespace take part in a cluster.
type cluster struct{}

func (cluster) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	presence.Register(n, h)
	return nil
}

// backendFigures is an event set that tells what an auth backend does.
type backendFigures struct{ auth.Measured }

// Register implements streaming.EventSet.
func (b backendFigures) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	b.Measure(n, h)
	return nil
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

// gather asks a registry for the metrics of hubs, by name.
func gather(t *testing.T, servers map[string]*streaming.Server) map[string]*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector{told(t), maps.All(servers)}); err != nil {
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
	families := gather(t, map[string]*streaming.Server{"only": newServer(t)})
	for _, m := range told(t).metrics {
		if families[prefix+m.name] == nil {
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

// TestMetricsOfTwoHubs holds that hubs are told apart, and that one takes the place of another of
// its name.
func TestMetricsOfTwoHubs(t *testing.T) {
	first, second := newServer(t), newServer(t)
	first.CountRefusal(engineio.CodeForbidden)
	second.CountRefusal(engineio.CodeForbidden)
	second.CountRefusal(engineio.CodeForbidden)
	servers := map[string]*streaming.Server{"first": first, "second": second}
	forbidden := func() map[string]float64 {
		values := make(map[string]float64)
		for _, m := range gather(t, servers)[prefix+"refused_requests_total"].GetMetric() {
			if label(m, "reason") == "forbidden" {
				values[label(m, "hub")] = m.GetCounter().GetValue()
			}
		}
		return values
	}
	if got := forbidden(); len(got) != 2 || got["first"] != 1 || got["second"] != 2 {
		t.Errorf("got %v", got)
	}
	servers["first"] = newServer(t)
	if got := forbidden(); len(got) != 2 || got["first"] != 0 {
		t.Errorf("got %v", got)
	}
}

func TestMetricsOfDistributions(t *testing.T) {
	metrics := newServer(t).Metrics()
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

	status, err := json.Marshal(StatusOf(metrics))
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
	running := streaming.Figure{Name: "streams", Help: "Streams."}
	rivers := streaming.Figure{Name: "streams", Help: "Rivers."}
	lines := streaming.Figure{Name: "connections", Help: "Lines."}
	for _, test := range []struct {
		figures []streaming.Figure
		want    string
	}{
		{
			[]streaming.Figure{running, rivers},
			`two metrics are named "streams": "Streams." and, of an event set, "Rivers."`,
		},
		{
			[]streaming.Figure{lines, running},
			`two metrics are named "connections": "Clients that are connected." and, of an event set, "Lines."`,
		},
	} {
		c, err := newCatalog(test.figures)
		if err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
		if len(c.figures) != 1 || len(c.metrics) != len(ownMetrics)+1 || c.figures["streams"].help != running.Help {
			t.Errorf("%v: the figures are %v", test.figures, c.figures)
		}
	}
}
