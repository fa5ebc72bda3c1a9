package engineio

import (
	"flag"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	modelSteps = flag.Int("model.steps", 20_000, "how many steps TestModel takes")
	modelSeed  = flag.Uint64("model.seed", 0, "the first seed that TestModel draws programs from, besides the fixed ones; 0 takes one from the clock")
)

// modelSeeds are the first seeds of programs that are run every time.
var modelSeeds = []uint64{1, 1_000_001}

// TestModel plays random programs of clients, of the program behind the server, and of the network
// against the model of a session. A program that fails is shortened and printed.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	began := time.Now()
	seeds := append(modelSeeds, seed)
	var steps atomic.Int64
	var failed atomic.Bool
	var all sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		all.Go(func() {
			for _, first := range seeds {
				part := int64(*modelSteps / len(seeds) / workers)
				for n, done := uint64(w), int64(0); done < part && !failed.Load(); {
					var run []program
					var from []uint64
					for range 20 {
						from = append(from, first+n)
						p := drawProgram(first + n)
						run = append(run, p)
						done += int64(len(p.steps))
						n += uint64(workers)
					}
					if bad, err := runPrograms(t, run); err != nil {
						if failed.CompareAndSwap(false, true) {
							t.Errorf("seed %d, after %d steps: %v", from[bad], steps.Load()+done, err)
							shrunk, err := shrink(t, run[bad], err)
							t.Errorf("shortened: %v\n%s", err, shrunk)
						}
						return
					}
					steps.Add(int64(stepsOf(run)))
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	t.Logf("first seed %d: %d steps in %v, %.0f steps a second", seed, steps.Load(), took.Round(time.Millisecond), float64(steps.Load())/took.Seconds())
}

func stepsOf(programs []program) (n int) {
	for _, p := range programs {
		n += len(p.steps)
	}
	return n
}

// runPrograms runs programs one after the other in one bubble. It returns which one has failed.
func runPrograms(t *testing.T, programs []program) (bad int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	synctest.Test(t, func(*testing.T) {
		for i, p := range programs {
			bad = i
			if err = runProgram(p); err != nil {
				return
			}
		}
	})
	return bad, err
}

// runProgram runs one program in a bubble.
func runProgram(p program) error {
	pl := newPlay(p.options, playersOf)
	for i, st := range p.steps {
		pl.do(st)
		if st.race && !pl.restNow && i < len(p.steps)-1 {
			continue
		}
		pl.restNow = false
		if err := pl.rest(); err != nil {
			pl.giveUp()
			return fmt.Errorf("step %d, %s: %w", i, opNames[st.op], err)
		}
	}
	if err := pl.finish(); err != nil {
		pl.giveUp()
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

// fails runs a program so many times, and returns the first failure of a kind, or of any.
func (p program) fails(t *testing.T, times int, kind string) error {
	for range times {
		if _, err := runPrograms(t, []program{p}); err != nil && (kind == "" || kindOf(err) == kind) {
			return err
		}
	}
	return nil
}

// kindOf is what an error says without the particulars.
func kindOf(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "client "); i >= 0 {
		text = text[i:]
	}
	return particulars.ReplaceAllString(text, "")
}

var particulars = regexp.MustCompile(`client \d+|[a-z]?[0-9]+[a-z.0-9]*|packet \S+|"[^"]*"`)

// shrink makes a program that fails as short and as simple as it can.
func shrink(t *testing.T, p program, err error) (program, error) {
	times, kind := 1, kindOf(err)
	for times <= 64 && p.fails(t, times, kind) == nil {
		times *= 4
	}
	times = min(4*times, 64)
	try := func(steps []step) bool {
		smaller := program{p.options, steps}
		if e := smaller.fails(t, times, kind); e != nil {
			p, err = smaller, e
			return true
		}
		return false
	}
	for limit := time.Now().Add(time.Minute); ; {
		before := p.String()
		for chunk := len(p.steps) / 2; chunk > 0; chunk /= 2 {
			for i := 0; i+chunk <= len(p.steps); {
				without := append(append([]step(nil), p.steps[:i]...), p.steps[i+chunk:]...)
				if time.Now().After(limit) || !try(without) {
					i += chunk
				}
			}
		}
		for i := range p.steps {
			for _, simpler := range p.steps[i].simpler() {
				if simpler == p.steps[i] || time.Now().After(limit) {
					continue
				}
				steps := append([]step(nil), p.steps...)
				steps[i] = simpler
				try(steps)
			}
		}
		if p.String() == before || time.Now().After(limit) {
			return p, err
		}
	}
}

// simpler yields steps that are the same with simpler parameters.
func (st step) simpler() []step {
	var list []step
	add := func(f func(*step)) {
		other := st
		f(&other)
		list = append(list, other)
	}
	add(func(s *step) { s.race = false })
	add(func(s *step) { s.b = 0 })
	add(func(s *step) { s.a %= 16 })
	add(func(s *step) { s.a = 1 })
	add(func(s *step) { s.a = 0 })
	add(func(s *step) { s.who = 0 })
	return list
}

// String is the program as Go code.
func (p program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "program{%d, []step{\n", p.options)
	for _, s := range p.steps {
		fmt.Fprintf(&b, "\t{%s, %d, %d, %d, %v},\n", opNames[s.op], s.who, s.a, s.b, s.race)
	}
	b.WriteString("}}")
	return b.String()
}
