package memory

import (
	"bytes"
	"os"
	"runtime/metrics"
	"strconv"
)

// Usage is what the process' memory is used for, in bytes, under the names that Node uses.
// HeapTotal is what the heap holds on to, External is what the runtime uses besides it, for stacks
// and its own books.
type Usage struct {
	RSS       uint64 `json:"rss"`
	HeapTotal uint64 `json:"heapTotal"`
	HeapUsed  uint64 `json:"heapUsed"`
	External  uint64 `json:"external"`
}

// Used reads the memory that the process uses right now.
func Used() Usage {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return samples[i].Value.Uint64()
	}
	total, used, released := value(0), value(1), value(4)
	heap := used + value(2) + value(3)
	m := Usage{RSS: residentBytes(), HeapTotal: heap, HeapUsed: used, External: total - heap - released}
	if m.RSS == 0 {
		m.RSS = total - released
	}
	return m
}

// residentBytes returns the process' resident memory, or 0 where the system does not tell it in
// /proc.
func residentBytes() uint64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
