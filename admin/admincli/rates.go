package admincli

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// rateColumn is a counter that is shown by how much it grows in a second.
type rateColumn struct {
	heading string
	bytes   bool
	value   func(*adminapi.Counters) *int64
}

var allRates = []rateColumn{
	{"EVENTS IN", false, func(c *adminapi.Counters) *int64 { return c.EventsIn }},
	{"EVENTS OUT", false, func(c *adminapi.Counters) *int64 { return c.EventsOut }},
	{"DELIVERIES", false, func(c *adminapi.Counters) *int64 { return c.Deliveries }},
	{"BYTES IN", true, func(c *adminapi.Counters) *int64 { return c.BytesIn }},
	{"BYTES OUT", true, func(c *adminapi.Counters) *int64 { return c.BytesOut }},
}

// rateColumns returns the columns for what any of the hubs counts.
func rateColumns(hubs []adminapi.Hub) []rateColumn {
	return slices.DeleteFunc(slices.Clone(allRates), func(r rateColumn) bool {
		return !slices.ContainsFunc(hubs, func(h adminapi.Hub) bool { return r.value(&h.Counters) != nil })
	})
}

// unknown stands where there is no number.
const unknown = "-"

// cell shows the rate since before, or the total where nothing was elapsed.
func (r rateColumn) cell(now, before *adminapi.Counters, elapsed time.Duration) string {
	value := r.value(now)
	if value == nil {
		return unknown
	}
	if elapsed <= 0 {
		if r.bytes {
			return size(*value)
		}
		return count(*value)
	}
	if before == nil || r.value(before) == nil || *r.value(before) > *value {
		return unknown // a hub that is new, or has been made anew
	}
	perSecond := float64(*value-*r.value(before)) / elapsed.Seconds()
	switch {
	case r.bytes:
		return size(int64(perSecond)) + "/s"
	case perSecond > 0 && perSecond < 9.95:
		return fmt.Sprintf("%.1f/s", perSecond)
	default:
		return count(int64(perSecond+0.5)) + "/s"
	}
}
