// Command bench puts the same load on every stack in turn, again and again, and prints one Markdown
// table for each scenario.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/caddy-socketio/socketio-stream/bench/load"
	"github.com/caddy-socketio/socketio-stream/bench/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the benchmark.
type bench struct {
	binaries stack.Binaries
	load     string
	extra    []string
	repeats  int
	// profiles is the folder for CPU profiles, empty for none.
	profiles string
}

func run(ctx context.Context, arguments []string) error {
	var b bench
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	bin := flags.String("bin", "", "folder with the programs load, floor and zishang")
	flags.StringVar(&b.binaries.Caddy, "caddy", "", "Caddy with this module")
	flags.StringVar(&b.binaries.Node, "node", "", "folder of the Node peer")
	flags.IntVar(&b.repeats, "repeats", 3, "rounds, in each of which every stack has its turn")
	only := flags.String("stacks", "", "names of the stacks to run, with semicolons between; all when empty")
	extra := flags.String("load", "", "further arguments for the load command, such as '-duration 2s'")
	raw := flags.String("json", "", "file to write every single result to")
	earlier := flags.String("read", "", "files of earlier runs, with semicolons between: their results are shown, and nothing is measured")
	picture := flags.String("svg", "", "file to draw the ratios to, in SVG")
	flags.StringVar(&b.profiles, "profiles", "", "folder to write CPU profiles of Caddy to, taken under load")
	names, err := parse(flags, arguments)
	if err != nil {
		return err
	}
	stacks, err := chooseStacks(*only)
	if err != nil {
		return err
	}
	if *earlier != "" {
		return show(strings.Split(*earlier, ";"), names, stacks, *picture)
	}
	b.extra = strings.Fields(*extra)
	if b.repeats < 1 || b.repeats > 20 {
		return fmt.Errorf("%d repeats: it must be 1 to 20", b.repeats)
	}
	if err := b.locate(*bin); err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	chosen, err := chooseScenarios(names)
	if err != nil {
		return err
	}
	fmt.Printf("%d cores, %s, %d rounds; medians, (smallest–largest); ratios are taken within each round.\n"+
		"Peer: nginx + Node over TLS, with compression that of it which has it, Node alone where plain. Floor: the one that joins what is pending.\n",
		runtime.NumCPU(), runtime.Version(), b.repeats)
	everything := make(results)
	for _, s := range chosen {
		results, err := b.measure(ctx, s, stacks)
		if err != nil {
			return err
		}
		everything[s.name] = results
		printTable(os.Stdout, s, takingPart(s, stacks), results)
	}
	if *raw != "" {
		content, err := json.MarshalIndent(everything, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*raw, append(content, '\n'), 0o644); err != nil {
			return err
		}
	}
	return draw(*picture, everything)
}

// results are the rounds of every scenario and stack, by name.
type results map[string]map[string]rounds

// show prints and draws what earlier runs measured.
func show(files, names []string, stacks []stack.Stack, picture string) error {
	everything := make(results)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var run results
		if err := json.Unmarshal(content, &run); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		maps.Copy(everything, run)
	}
	chosen, err := chooseScenarios(names)
	if err != nil {
		return err
	}
	for _, s := range chosen {
		measured := everything[s.name]
		present := slices.DeleteFunc(takingPart(s, stacks), func(st stack.Stack) bool { return measured[st.Name] == nil })
		if len(present) > 0 {
			printTable(os.Stdout, s, present, measured)
		}
	}
	return draw(picture, everything)
}

func draw(path string, everything results) error {
	if path == "" {
		return nil
	}
	var picture bytes.Buffer
	drawRatios(&picture, scenarios, everything)
	return os.WriteFile(path, picture.Bytes(), 0o644)
}

// parse takes flags and names in any order.
func parse(flags *flag.FlagSet, arguments []string) (names []string, err error) {
	for {
		if err := flags.Parse(arguments); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return names, nil
		}
		names = append(names, flags.Arg(0))
		arguments = flags.Args()[1:]
	}
}

// locate makes all paths absolute, as every stack runs in a folder of its own.
func (b *bench) locate(bin string) error {
	b.load = filepath.Join(bin, "load")
	b.binaries.Floor = filepath.Join(bin, "floor")
	b.binaries.Zishang = filepath.Join(bin, "zishang")
	for _, path := range []*string{&b.load, &b.binaries.Floor, &b.binaries.Zishang, &b.binaries.Caddy, &b.binaries.Node} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(absolute); err != nil {
			return err
		}
		*path = absolute
	}
	return nil
}

func chooseScenarios(names []string) ([]scenario, error) {
	if len(names) == 0 {
		return scenarios, nil
	}
	var chosen []scenario
	for _, name := range names {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q", name)
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

func chooseStacks(only string) ([]stack.Stack, error) {
	if only == "" {
		return stack.All, nil
	}
	var chosen []stack.Stack
	for name := range strings.SplitSeq(only, ";") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(stack.All, func(s stack.Stack) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no stack %q", name)
		}
		chosen = append(chosen, stack.All[i])
	}
	return chosen, nil
}

func takingPart(s scenario, stacks []stack.Stack) []stack.Stack {
	return slices.DeleteFunc(slices.Clone(stacks), func(st stack.Stack) bool {
		if len(s.only) > 0 && !slices.Contains(s.only, st.Name) || st.Floor && !s.floors {
			return true
		}
		return len(s.only) == 0 && st.Without != ""
	})
}

// measure gives every stack its turn, round after round, so that what else the machine does falls
// on all of them alike. A stack that fails in a round is left out of that round, and the table says
// so.
func (b *bench) measure(ctx context.Context, s scenario, stacks []stack.Stack) (map[string]rounds, error) {
	results := make(map[string]rounds)
	for round := range b.repeats {
		for _, st := range takingPart(s, stacks) {
			result, err := b.turn(ctx, s, st)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s, round %d: %v\n", s.name, round+1, err)
			}
			results[st.Name] = append(results[st.Name], result)
			fmt.Fprintf(os.Stderr, "%s, round %d of %d: %s\n", s.name, round+1, b.repeats, st.Name)
		}
	}
	return results, nil
}

// turn loads a stack once, or twice where the scenario compares two loads.
func (b *bench) turn(ctx context.Context, s scenario, st stack.Stack) (*load.Result, error) {
	result, err := b.once(ctx, s, st, s.load)
	if err != nil || s.then == nil {
		return result, err
	}
	later, err := b.once(ctx, s, st, slices.Concat(s.load, s.then))
	if err != nil {
		return nil, err
	}
	// Both loads have the same figures; the one whose growth is of interest is the cost.
	const cost = "cpu_us_per_delivery"
	if first := result.Values[cost]; first > 0 {
		result.Values[growthMain.key] = later.Values[cost] / first
	}
	for name, value := range later.Values {
		result.Values[thenPrefix+name] = value
	}
	result.Notes = append(result.Notes, later.Notes...)
	return result, nil
}

// once starts a stack, loads it and ends it.
func (b *bench) once(ctx context.Context, s scenario, st stack.Stack, loading []string) (result *load.Result, err error) {
	running, err := stack.Start(ctx, st, b.binaries, s.settings)
	if err != nil {
		return nil, err
	}
	defer func() {
		if failed := running.Stop(); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: stopping: %w", st.Name, failed))
		}
	}()
	arguments := slices.Concat([]string{"-url", running.URL, "-pids", joinPIDs(running.PIDs)}, loading, b.extra)
	if b.profiles != "" && running.Profile != "" {
		profiled := b.profile(ctx, running.Profile, s, st)
		defer func() { err = errors.Join(err, <-profiled) }()
	}
	command := exec.CommandContext(ctx, b.load, arguments...)
	var output bytes.Buffer
	command.Stdout = &output
	command.Stderr = io.Writer(os.Stderr)
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: load: %w", st.Name, err)
	}
	result = new(load.Result)
	if err := json.Unmarshal(output.Bytes(), result); err != nil {
		return nil, fmt.Errorf("%s: the load command's answer: %w", st.Name, err)
	}
	return result, nil
}

func joinPIDs(pids []int) string {
	texts := make([]string, len(pids))
	for i, pid := range pids {
		texts[i] = strconv.Itoa(pid)
	}
	return strings.Join(texts, ",")
}
