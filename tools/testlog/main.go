// Command testlog reads the stream of `go test -json` from standard input and
// prints one line for each package, and all output of what failed. It ends with
// status 1 if a test failed or was skipped, or if no test ran at all: a test
// that is skipped proves nothing.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is a line of the stream; see `go doc cmd/test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a package that is being built
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// name identifies a test, or with an empty test the package as a whole.
type name struct {
	pkg, test string
}

// report is what has been seen of the stream so far.
type report struct {
	out     io.Writer
	output  map[name][]string
	passed  int
	failed  []name
	skipped []name
}

func main() {
	r := &report{out: os.Stdout, output: make(map[name][]string)}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testlog:", err)
		os.Exit(2)
	}
	if !r.conclude() {
		os.Exit(1)
	}
}

// read consumes the whole stream. Lines that are not events are passed on:
// the go command writes some of its complaints as plain text.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(r.out, line)
			} else {
				r.add(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) add(e event) {
	id := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.failed = append(r.failed, name{pkg: e.ImportPath})
	case "output":
		r.output[id] = append(r.output[id], e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e, id)
		} else {
			r.endTest(e.Action, id)
		}
	}
}

// endTest keeps the output of a test only while somebody will want to read it.
func (r *report) endTest(action string, id name) {
	switch action {
	case "pass":
		r.passed++
		delete(r.output, id)
	case "skip":
		r.skipped = append(r.skipped, id)
		r.print(id)
	case "fail":
		r.failed = append(r.failed, id)
		r.print(id)
	}
}

// endPackage prints a package's line. A package without test files is reported
// as skipped; that is no skipped test.
func (r *report) endPackage(e event, id name) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(r.out, "ok    %s  %.1fs\n", id.pkg, e.Elapsed)
		delete(r.output, id)
	case "skip":
		fmt.Fprintf(r.out, "-     %s  no tests\n", id.pkg)
		delete(r.output, id)
	case "fail":
		fmt.Fprintf(r.out, "FAIL  %s  %.1fs\n", id.pkg, e.Elapsed)
		// A panic or a deadline ends the package in the middle of tests that
		// never get an end of their own.
		for _, open := range r.unfinished(id.pkg) {
			r.print(open)
		}
		r.print(id)
		r.failed = append(r.failed, id)
	}
}

func (r *report) unfinished(pkg string) []name {
	var open []name
	for id := range r.output {
		if id.pkg == pkg && id.test != "" {
			open = append(open, id)
		}
	}
	slices.SortFunc(open, func(a, b name) int { return strings.Compare(a.test, b.test) })
	return open
}

func (r *report) print(id name) {
	for _, text := range r.output[id] {
		fmt.Fprint(r.out, text)
	}
	delete(r.output, id)
}

// conclude prints the totals and reports whether they are good.
func (r *report) conclude() bool {
	fmt.Fprintf(r.out, "%d tests passed, %d skipped\n", r.passed, len(r.skipped))
	for _, id := range r.skipped {
		fmt.Fprintf(r.out, "skipped: %s %s\n", id.pkg, id.test)
	}
	for _, id := range r.failed {
		fmt.Fprintf(r.out, "failed: %s %s\n", id.pkg, id.test)
	}
	if r.passed == 0 {
		fmt.Fprintln(r.out, "no test ran")
	}
	return r.passed > 0 && len(r.failed) == 0 && len(r.skipped) == 0
}
