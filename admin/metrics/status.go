package metrics

import "github.com/caddy-socketio/socketio-stream/streaming"

// Status is the metrics of a hub as the status page tells them: for each name, without its prefix,
// one entry for each combination of labels. An entry has the labels as fields, and "value", or, of
// a histogram, "count", "sum" and "buckets".
type Status map[string][]map[string]any

// bucketStatus tells how many of a histogram's values are not greater than a bound.
type bucketStatus struct {
	AtMost float64 `json:"le"`
	Count  int64   `json:"count"`
}

// StatusOf returns what a hub has counted as the status page tells it.
func StatusOf(m streaming.Metrics) Status {
	catalog, _ := wholeCatalog() // its error has kept the config from starting
	status := make(Status)
	for _, s := range catalog.samples(m) {
		status[s.metric.name] = append(status[s.metric.name], s.status())
	}
	return status
}

// status returns the sample as an entry of the status.
func (s *sample) status() map[string]any {
	entry := make(map[string]any, len(s.labels)+3)
	for i, label := range s.metric.labels {
		entry[label] = s.labels[i]
	}
	d := s.distribution
	if d == nil {
		entry["value"] = s.value
		return entry
	}
	buckets := make([]bucketStatus, len(d.Scale))
	var below int64
	for i, bound := range d.Scale {
		below += d.Counts[i]
		buckets[i] = bucketStatus{float64(bound) / s.metric.unit, below}
	}
	entry["count"], entry["sum"] = d.Count(), float64(d.Sum)/s.metric.unit
	entry["buckets"] = buckets
	return entry
}
