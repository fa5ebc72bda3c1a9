package socketiostream

import "github.com/caddy-socketio/socketio-stream/streaming"

// metricsStatus is the metrics of a hub as the status tells them: for each name, without its prefix, one entry for each
// combination of labels. An entry has the labels as fields, and "value", or, of a histogram, "count", "sum" and "buckets".
type metricsStatus map[string][]map[string]any

// bucketStatus tells how many of a histogram's values are not greater than a bound.
type bucketStatus struct {
	AtMost float64 `json:"le"`
	Count  int64   `json:"count"`
}

// metricsStatusOf returns the metrics as the status tells them.
func metricsStatusOf(m streaming.Metrics) metricsStatus {
	catalog, _ := wholeCatalog() // an error has kept the config from starting
	status := make(metricsStatus)
	for _, s := range catalog.samples(m) {
		entry := make(map[string]any, len(s.labels)+3)
		for i, label := range s.metric.labels {
			entry[label] = s.labels[i]
		}
		if d := s.distribution; d == nil {
			entry["value"] = s.value
		} else {
			count := d.Count()
			entry["count"], entry["sum"] = count, float64(d.Sum)/s.metric.unit
			buckets := make([]bucketStatus, len(d.Scale))
			var below int64
			for i, bound := range d.Scale {
				below += d.Counts[i]
				buckets[i] = bucketStatus{float64(bound) / s.metric.unit, below}
			}
			entry["buckets"] = buckets
		}
		status[s.metric.name] = append(status[s.metric.name], entry)
	}
	return status
}
