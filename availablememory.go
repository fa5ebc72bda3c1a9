package socketiostream

import (
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"strconv"
)

// defaultHubBuffer returns the hub_buffer of a hub that names none, in bytes: a quarter of the available memory, which
// leaves room for the heap to grow to twice what is live before it is collected. It must not undercut sendBuffer, which
// one client may use up. Zero, where the memory is not known, is no limit.
func defaultHubBuffer(memory, sendBuffer int64) int64 {
	if memory <= 0 {
		return 0
	}
	return max(memory/4, sendBuffer)
}

// availableMemory returns how many bytes of memory the process may use: the runtime's limit, which is GOMEMLIMIT or what
// Caddy derives from its container's or machine's memory when it starts, or else what the machine has. It is 0 where
// neither is known.
func availableMemory() int64 {
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
