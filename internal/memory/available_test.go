package memory

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestAvailableMemoryFollowsTheRuntimesLimit(t *testing.T) {
	before := debug.SetMemoryLimit(3 << 30)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	if got := Available(); got != 3<<30 {
		t.Errorf("%d bytes with a limit of 3 GiB", got)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if got := Available(); got < 0 || got == math.MaxInt64 {
		t.Errorf("%d bytes without a limit", got)
	}
}

func TestMachineMemory(t *testing.T) {
	for _, test := range []struct {
		name, meminfo string
		want          int64
	}{
		{"as Linux tells it", "MemTotal:       24684092 kB\nMemFree:         1000 kB\n", 24684092 << 10},
		{"not on the first line", "MemFree: 5 kB\nMemTotal: 7 kB\n", 7 << 10},
		{"nothing", "", 0},
		{"no total", "MemFree: 5 kB\n", 0},
		{"no number", "MemTotal: many kB\n", 0},
		{"negative", "MemTotal: -1 kB\n", 0},
		{"another unit", "MemTotal: 7 MB\n", 0},
		{"no unit", "MemTotal: 7\n", 0},
		{"more than can be counted", "MemTotal: 9223372036854775807 kB\n", 0},
	} {
		if got := machineMemory([]byte(test.meminfo)); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
