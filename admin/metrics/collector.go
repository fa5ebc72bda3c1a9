// Package metrics tells what the hubs have counted: to Prometheus, and to the status page.
package metrics

import (
	"errors"
	"iter"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// collector brings the metrics of all hubs to Prometheus. Those of all configs tell the same: hubs
// outlive configs, and so do their counts, while each config has a registry of its own.
type collector struct {
	catalog *catalog
	servers iter.Seq2[string, *streaming.Server]
}

// Register makes the metrics part of what the metrics endpoints of a config answer with. It is
// called when the config is provisioned, and returns an error if two metrics have one name.
func Register(ctx caddy.Context) error {
	catalog, err := wholeCatalog()
	if err != nil {
		return err
	}
	registry := ctx.GetMetricsRegistry()
	if registry == nil {
		return nil
	}
	// Another handler of the same config may have been here before.
	var registered prometheus.AlreadyRegisteredError
	err = registry.Register(collector{catalog, hub.All()})
	if err != nil && !errors.As(err, &registered) {
		return err
	}
	return nil
}

// Describe implements prometheus.Collector.
func (c collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, m := range c.catalog.metrics {
		descriptions <- m.description
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	for name, server := range c.servers {
		for _, s := range c.catalog.samples(server.Metrics()) {
			metrics <- s.prometheus(name)
		}
	}
}

// prometheus returns the sample as the metric of a hub.
func (s *sample) prometheus(hub string) prometheus.Metric {
	labels := append([]string{hub}, s.labels...)
	description, unit := s.metric.description, s.metric.unit
	if s.distribution == nil {
		return prometheus.MustNewConstMetric(description, s.metric.kind, s.value, labels...)
	}
	buckets := make(map[float64]uint64, len(s.distribution.Scale))
	var below int64
	for i, bound := range s.distribution.Scale {
		below += s.distribution.Counts[i]
		buckets[float64(bound)/unit] = uint64(below) //nolint:gosec // a count is not negative
	}
	count := uint64(s.distribution.Count()) //nolint:gosec // a count is not negative
	sum := float64(s.distribution.Sum) / unit
	return prometheus.MustNewConstHistogram(description, count, sum, buckets, labels...)
}

// Interface guard.
var _ prometheus.Collector = collector{}
