package integration

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const measured = `
	route {
		metrics /metrics
		socketio_stream {
			hub one
			status /status
			max_connections %d
		}
		socketio_stream {
			hub two
			path /two/
		}
	}
`

// metrics reads the metrics of the hubs, by name and labels, from the site's endpoint.
func (s *server) metrics() map[string]float64 {
	s.t.Helper()
	_, body := s.request("GET", "/metrics", "")
	values := make(map[string]float64)
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		name, text, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "caddy_socketio_"), " ")
		if !ok || !strings.HasPrefix(lines.Text(), "caddy_socketio_") {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			s.t.Fatalf("%s: %v", lines.Text(), err)
		}
		values[name] = value
	}
	return values
}

// TestMetricsOutliveReloads holds that hubs count on through reloads, failing ones included, each
// for itself, and that every config's endpoint tells of all of them.
func TestMetricsOutliveReloads(t *testing.T) {
	s := startServer(t, fmt.Sprintf(measured, 100))
	client, other := s.connect("/socket.io/"), s.connect("/two/")
	polling := s.poll("/socket.io/")
	client.send(`42["message","hello"]`)
	polling.wait(`42["message","hello"]`)
	client.send(`421["stream:start",{"streamId":"kept"}]`)
	client.wait("431[")
	other.send(`421["nobody knows"]`)
	other.wait("431[")
	s.request("GET", "/socket.io/?EIO=3&transport=polling", "")
	s.request("GET", "/socket.io/?EIO=4&transport=polling", "", "Origin", "https://elsewhere.example.com")

	want := map[string]float64{
		`connections{hub="one",protocol="4",transport="websocket"}`:          1,
		`connections{hub="one",protocol="4",transport="polling"}`:            1,
		`connections{hub="two",protocol="4",transport="websocket"}`:          1,
		`connections{hub="two",protocol="4",transport="polling"}`:            0,
		`sockets{hub="one",namespace="/"}`:                                   2,
		`sockets{hub="two",namespace="/"}`:                                   1,
		`handshakes_total{hub="one",protocol="4",transport="polling"}`:       1,
		`connects_total{hub="one",namespace="/"}`:                            2,
		`events_total{direction="in",hub="one",namespace="/"}`:               2,
		`events_total{direction="in",hub="two",namespace="/"}`:               1,
		`refused_events_total{code="unknown_event",hub="one",namespace="/"}`: 0,
		`refused_events_total{code="unknown_event",hub="two",namespace="/"}`: 1,
		`refused_requests_total{hub="one",reason="unsupported_version"}`:     1,
		`refused_requests_total{hub="one",reason="forbidden"}`:               1,
		`refused_requests_total{hub="two",reason="forbidden"}`:               0,
		`streams{hub="one",namespace="/"}`:                                   1,
		`streams_started_total{hub="one",namespace="/"}`:                     1,
		`streams_started_total{hub="two",namespace="/"}`:                     0,
		`disconnects_total{hub="one",reason="transport_close"}`:              0,
		`slow_clients_total{hub="one"}`:                                      0,
		`heartbeat_latency_seconds_bucket{hub="one",le="+Inf"}`:              0,
		`ack_latency_seconds_bucket{hub="two",namespace="/",le="0.0025"}`:    0,
	}
	compare := func(when string, got map[string]float64) {
		t.Helper()
		for name, value := range want {
			if is, ok := got[name]; !ok || is != value {
				t.Errorf("%s: %s is %v (told: %v), want %v", when, name, is, ok, value)
			}
		}
	}
	before := s.metrics()
	compare("before", before)
	for generation := range 3 {
		if err := s.load(fmt.Sprintf(measured, 101+generation)); err != nil {
			t.Fatal(err)
		}
		if err := s.load(fmt.Sprintf(measured, 0)); err == nil {
			t.Fatal("a config that is wrong was loaded")
		}
		after := s.metrics()
		compare("after a reload", after)
		for name, value := range before {
			// The hub of a test before this one may still be closing its connections.
			ours := strings.Contains(name, `hub="one"`) || strings.Contains(name, `hub="two"`)
			if ours && strings.Contains(name, "_total{") && after[name] < value {
				t.Errorf("%s has fallen from %v to %v", name, value, after[name])
			}
		}
	}
	client.send(`42["message","again"]`)
	polling.wait(`42["message","again"]`)
	want[`events_total{direction="in",hub="one",namespace="/"}`] = 3
	compare("after more", s.metrics())

	// The status tells the same of its hub.
	if _, body := s.request("GET", "/status", ""); !strings.Contains(body, `{"direction":"in","namespace":"/","value":3}`) {
		t.Errorf("status: %s", body)
	}
	// A hub that is gone is not told any more, once it has closed its connections.
	if err := s.load("metrics /metrics\nsocketio_stream {\n hub two\n path /two/\n}"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		told := slices.DeleteFunc(slices.Collect(maps.Keys(s.metrics())), func(name string) bool {
			return !strings.Contains(name, `hub="one"`)
		})
		if len(told) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the hub is gone, and %s is told", told)
		}
		<-time.After(10 * time.Millisecond)
	}
}
