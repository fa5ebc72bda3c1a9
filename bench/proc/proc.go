// Package proc reads from /proc what a server, taken as a tree of processes, costs: CPU time and
// memory.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// tick is one unit of the times in /proc/<pid>/stat. Linux reports them to programs in hundredths
// of a second whatever the kernel's own timer runs at.
const tick = 10 * time.Millisecond

// Usage is what a set of processes has used so far (CPU) and holds now (memory).
type Usage struct {
	// CPU is user plus system time of every process since each started.
	CPU time.Duration
	// RSS is resident memory in bytes; pages that two processes share are counted in both.
	RSS int64
	// PSS is resident memory in bytes with shared pages divided among those who share them: the one
	// to compare stacks of several processes by.
	PSS int64
}

// Measure sums the usage of the given processes and all their descendants. A process that ends
// while being read is left out.
func Measure(roots []int) (Usage, error) {
	var sum Usage
	pids, err := Tree(roots)
	if err != nil {
		return sum, err
	}
	for _, pid := range pids {
		one, err := measure(pid)
		if gone(err) {
			continue
		}
		if err != nil {
			return sum, err
		}
		sum.CPU += one.CPU
		sum.RSS += one.RSS
		sum.PSS += one.PSS
	}
	return sum, nil
}

// CPU sums the CPU time alone, which is far cheaper to read than memory and so fit for the edges of
// a measurement.
func CPU(roots []int) (time.Duration, error) {
	pids, err := Tree(roots)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		s, err := readStat(pid)
		if gone(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		sum += s.cpu
	}
	return sum, nil
}

// Peak sums the largest resident memory each of the processes has had since it started, in bytes.
func Peak(roots []int) (int64, error) {
	pids, err := Tree(roots)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if gone(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		peak, err := kilobytes(status, "VmHWM:")
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += peak
	}
	return sum, nil
}

// Tree returns the given processes and all their descendants.
func Tree(roots []int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		children[s.parent] = append(children[s.parent], pid)
	}
	var pids []int
	seen := make(map[int]bool)
	for queue := append([]int(nil), roots...); len(queue) > 0; queue = queue[1:] {
		pid := queue[0]
		if seen[pid] {
			continue
		}
		seen[pid] = true
		pids = append(pids, pid)
		queue = append(queue, children[pid]...)
	}
	return pids, nil
}

func measure(pid int) (Usage, error) {
	s, err := readStat(pid)
	if err != nil {
		return Usage{}, err
	}
	usage := Usage{CPU: s.cpu}
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Usage{}, err
	}
	if usage.RSS, err = kilobytes(rollup, "Rss:"); err != nil {
		return Usage{}, err
	}
	usage.PSS, err = kilobytes(rollup, "Pss:")
	return usage, err
}

type stat struct {
	parent int
	cpu    time.Duration
}

// readStat takes the parent and the CPU time from /proc/<pid>/stat. The second field, the command's
// name, may hold spaces and parentheses, so fields are counted from the last parenthesis.
func readStat(pid int) (stat, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("process %d: stat line without a name", pid)
	}
	// fields[0] is the state, which proc(5) numbers 3.
	fields := bytes.Fields(line[end+1:])
	const parent, utime, stime = 4 - 3, 14 - 3, 15 - 3
	if len(fields) <= stime {
		return stat{}, fmt.Errorf("process %d: stat line with %d fields", pid, len(fields))
	}
	var values [3]int64
	for i, field := range []int{parent, utime, stime} {
		if values[i], err = strconv.ParseInt(string(fields[field]), 10, 64); err != nil {
			return stat{}, fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return stat{parent: int(values[0]), cpu: time.Duration(values[1]+values[2]) * tick}, nil
}

// kilobytes finds a line such as "Rss:   1024 kB" and returns its bytes.
func kilobytes(file []byte, name string) (int64, error) {
	for line := range bytes.Lines(file) {
		fields := bytes.Fields(line)
		if len(fields) >= 2 && string(fields[0]) == name {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no line %s", name)
}

// gone tells whether an error means that the process has ended: its files are missing, or reading
// them finds no process.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
