package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const (
		passes = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
`
		packagePasses = `{"Action":"pass","Package":"p","Elapsed":1.5}
`
	)
	tests := []struct {
		name   string
		stream string
		good   bool
		has    []string
		hasNot string
	}{
		{
			name:   "all pass",
			stream: passes + packagePasses,
			good:   true,
			has:    []string{"ok    p  1.5s\n", "1 tests passed, 0 skipped\n"},
			hasNot: "noise",
		},
		{
			name:   "a package without tests is no skipped test",
			stream: passes + packagePasses + `{"Action":"skip","Package":"q"}`,
			good:   true,
			has:    []string{"-     q  no tests\n"},
		},
		{
			name: "a skipped test",
			stream: passes + `{"Action":"output","Package":"p","Test":"TestB","Output":"reason\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
` + packagePasses,
			has: []string{"reason\n", "skipped: p TestB\n"},
		},
		{
			name: "a failed test",
			stream: passes + `{"Action":"output","Package":"p","Test":"TestB","Output":"reason\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`,
			has:    []string{"reason\n", "FAIL  p  0.1s\n", "failed: p TestB\n"},
			hasNot: "noise",
		},
		{
			name: "a package that ends in the middle of a test",
			stream: passes + `{"Action":"output","Package":"p","Test":"TestB","Output":"last words\n"}
{"Action":"output","Package":"p","Output":"panic\n"}
{"Action":"fail","Package":"p"}
`,
			has: []string{"last words\n", "panic\n", "failed: p \n"},
		},
		{
			name: "a package that does not compile",
			stream: passes + packagePasses + `{"ImportPath":"q [q.test]","Action":"build-output","Output":"q.go:1: bad\n"}
{"ImportPath":"q [q.test]","Action":"build-fail"}
`,
			has: []string{"q.go:1: bad\n", "failed: q [q.test] \n"},
		},
		{
			name:   "text between the events",
			stream: "go: no such thing\n" + passes + packagePasses,
			good:   true,
			has:    []string{"go: no such thing\n"},
		},
		{
			name: "nothing",
			has:  []string{"no test ran\n"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			r := &report{out: &out, output: make(map[name][]string)}
			if err := r.read(strings.NewReader(test.stream)); err != nil {
				t.Fatal(err)
			}
			if good := r.conclude(); good != test.good {
				t.Errorf("conclude() = %t, want %t", good, test.good)
			}
			for _, want := range test.has {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the report lacks %q:\n%s", want, &out)
				}
			}
			if test.hasNot != "" && strings.Contains(out.String(), test.hasNot) {
				t.Errorf("the report holds %q:\n%s", test.hasNot, &out)
			}
		})
	}
}

func TestReadFails(t *testing.T) {
	r := &report{out: &strings.Builder{}, output: make(map[name][]string)}
	if err := r.read(broken{}); err == nil {
		t.Error("a stream that breaks off is no error")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, fmt.Errorf("broken") }
