// Package memory tells how much memory the process has, and how much of it is in use.
package memory

import (
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"strconv"
)

// Available returns how many bytes of memory the process may use: the runtime's limit, which is
// GOMEMLIMIT or what Caddy derives from its container's or machine's memory when it starts, or else
// what the machine has. It is 0 where neither is known.
func Available() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return max(limit, 1) // a limit of nothing is still a limit
	}
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	return machineMemory(meminfo)
}

// machineMemory returns the bytes of memory that /proc/meminfo tells, or 0 where it does not.
func machineMemory(meminfo []byte) int64 {
	for line := range bytes.Lines(meminfo) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || string(fields[0]) != "MemTotal:" || string(fields[2]) != "kB" {
			continue
		}
		const kB = 1024 // the kernel's
		total, err := strconv.ParseInt(string(fields[1]), 10, 64)
		if err != nil || total < 0 || total > math.MaxInt64/kB {
			return 0
		}
		return total * kB
	}
	return 0
}
