package proc

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// busy keeps the compiler from leaving the work out.
var busy int

func TestMeasureOwnProcess(t *testing.T) {
	before, err := CPU([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	// Burn CPU until the clock of /proc has moved, within a bound.
	deadline := time.Now().Add(10 * time.Second)
	for after := before; after == before; {
		if time.Now().After(deadline) {
			t.Fatal("CPU time did not move")
		}
		for i := range 1_000_000 {
			busy += i
		}
		if after, err = CPU([]int{os.Getpid()}); err != nil {
			t.Fatal(err)
		}
	}
	usage, err := Measure([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if usage.RSS < 1<<20 || usage.PSS <= 0 || usage.PSS > usage.RSS {
		t.Fatalf("implausible memory: %+v", usage)
	}
}

func TestTreeFindsChildren(t *testing.T) {
	command := exec.Command("cat")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	pids, err := Tree([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(pids, command.Process.Pid) {
		t.Errorf("%v does not hold the child %d", pids, command.Process.Pid)
	}
	input.Close()
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	if usage, err := Measure([]int{command.Process.Pid}); err != nil || usage != (Usage{}) {
		t.Errorf("an ended process measures %+v, %v", usage, err)
	}
}
