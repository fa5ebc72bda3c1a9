package main

import (
	"fmt"
	"syscall"
)

// filesWanted is enough for the scenario of most connections, twice over for a proxy.
const filesWanted = 40_000

// raiseFileLimit lets this process and all that it starts have many files open. The hard limit is
// raised too where that is allowed; where it is not, what it admits must do.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit of open files: %w", err)
	}
	if limit.Cur >= filesWanted {
		return nil
	}
	raised := syscall.Rlimit{Cur: filesWanted, Max: max(limit.Max, filesWanted)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		return nil
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit of open files: %w", err)
	}
	return nil
}
