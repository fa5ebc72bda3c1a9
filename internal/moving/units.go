package moving

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// errUnit is what a size or a time is that cannot be read.
var errUnit = errors.New("not a number with a unit")

// parseSize reads a size in bytes, with a unit of powers of two such as k, m or g. Nginx, HAProxy and
// Apache mean the same by them.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "kKmMgGbB")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, errUnit
	}
	unit := int64(1)
	switch strings.ToLower(strings.TrimSuffix(strings.ToLower(text[len(digits):]), "b")) {
	case "":
	case "k":
		unit = 1 << 10
	case "m":
		unit = 1 << 20
	case "g":
		unit = 1 << 30
	default:
		return 0, errUnit
	}
	if n > math.MaxInt64/unit {
		return 0, errUnit
	}
	return n * unit, nil
}

// exactSizes are the units that a size is written in, where it is a whole number of one.
var exactSizes = []struct {
	unit int64
	name string
}{{1 << 30, "GiB"}, {1e9, "GB"}, {1 << 20, "MiB"}, {1e6, "MB"}, {1 << 10, "KiB"}, {1e3, "KB"}}

// writeSize writes a size such that it is read as the very same number of bytes.
func writeSize(n int64) string {
	for _, size := range exactSizes {
		if n > 0 && n%size.unit == 0 {
			return strconv.FormatInt(n/size.unit, 10) + size.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// parseTime reads a time such as `1h30m`, `500ms` or `60`, which is in the unit given.
func parseTime(text string, unit time.Duration) (time.Duration, error) {
	if text == "" {
		return 0, errUnit
	}
	units := map[string]time.Duration{
		"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "M": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour, "": unit,
	}
	var sum time.Duration
	for text != "" {
		end := 0
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		n, err := strconv.ParseInt(text[:end], 10, 64)
		if err != nil {
			return 0, errUnit
		}
		text = text[end:]
		end = 0
		for end < len(text) && (text[end] < '0' || text[end] > '9') {
			end++
		}
		each, ok := units[strings.TrimSpace(text[:end])]
		if !ok || n > int64(math.MaxInt64/each)/2 {
			return 0, errUnit
		}
		text = text[end:]
		sum += time.Duration(n) * each
		if sum < 0 {
			return 0, errUnit
		}
	}
	return sum, nil
}

// writeTime writes a duration as a person would.
func writeTime(d time.Duration) string {
	for _, each := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if d >= each.unit && d%each.unit == 0 {
			return fmt.Sprintf("%d%s", d/each.unit, each.name)
		}
	}
	return d.String()
}
