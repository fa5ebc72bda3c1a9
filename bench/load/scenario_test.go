package load

import (
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/floor"
)

// serveFloor runs the smallest server there is, on a port of its own.
func serveFloor(t *testing.T, server *floor.Server) *Target {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	target, err := ParseTarget("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// anyNought reports whether one of some values is not above zero.
func (r *Result) anyNought(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return r.Values[name] <= 0 })
}

func TestScenarios(t *testing.T) {
	options := Options{
		PIDs:      []int{os.Getpid()},
		Receivers: 20,
		Payload:   200,
		Window:    8,
		Count:     60,
		Parallel:  8,
		Warmup:    10 * time.Millisecond,
		Duration:  100 * time.Millisecond,
		Settle:    10 * time.Second,
	}
	servers := map[string]func() *floor.Server{
		"one":    floor.NewOne,
		"joined": func() *floor.Server { return floor.NewJoined(2) },
	}
	for _, test := range []struct {
		scenario         string
		change           func(*Options)
		positive, nought []string
	}{
		{"fanout", nil, []string{"delivery_per_s", "p99_ms", "mbit_per_s"}, []string{"lost", "disordered", "failed"}},
		{"fanout", func(o *Options) { o.Window, o.Rate = 0, 200 }, []string{"delivery_per_s"}, []string{"lost", "failed"}},
		{"fanout", func(o *Options) { o.Binary, o.Payload = true, 65_536 }, []string{"delivery_per_s"}, []string{"lost", "disordered", "failed"}},
		{"fanout", func(o *Options) { o.Compression, o.Telemetry, o.Payload = true, true, 4096 }, []string{"wire_bytes_per_delivery"}, []string{"lost", "disordered", "failed"}},
		{"ack", nil, []string{"ack_per_s", "p50_ms"}, nil},
		{"ack", func(o *Options) { o.Rate = 200 }, []string{"ack_per_s", "p50_ms"}, nil},
		{"connect", nil, []string{"connect_per_s"}, []string{"failed"}},
		{"idle", func(o *Options) { o.Settle = 10 * time.Millisecond }, []string{"pss_mib"}, nil},
	} {
		for mode, server := range servers {
			t.Run(test.scenario+"/"+mode, func(t *testing.T) {
				options := options
				if test.change != nil {
					test.change(&options)
				}
				result, err := Run(t.Context(), test.scenario, serveFloor(t, server()), options)
				// A machine that is busy with other things may do nothing in so short a time.
				for err == nil && result.anyNought(test.positive) && options.Duration < 20*time.Second {
					options.Duration *= 4
					result, err = Run(t.Context(), test.scenario, serveFloor(t, server()), options)
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range test.positive {
					if result.Values[name] <= 0 {
						t.Errorf("%s is %v", name, result.Values[name])
					}
				}
				for _, name := range test.nought {
					if result.Values[name] != 0 {
						t.Errorf("%s is %v: %v", name, result.Values[name], result.Notes)
					}
				}
			})
		}
	}
}

// A server that writes to one receiver after the other stands still beside a client that stalls;
// one with workers to spare does not.
func TestSlowReader(t *testing.T) {
	options := Options{Receivers: 20, Payload: 4096, Rate: 100, Parallel: 1, Duration: 300 * time.Millisecond}
	for _, test := range []struct {
		mode   string
		server *floor.Server
		flows  bool
	}{
		{"one", floor.NewOne(), false},
		{"joined", floor.NewJoined(4), true},
	} {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			result, err := Run(t.Context(), "slow", serveFloor(t, test.server), options)
			if err != nil {
				t.Fatal(err)
			}
			if result.Values["p99_ms"] <= 0 {
				t.Error("nothing is delivered without the stalled client")
			}
			if flows := result.Values["p99_beside_ms"] > 0; flows != test.flows {
				t.Errorf("deliveries beside it: %v", flows)
			}
		})
	}
}

func TestSlowLines(t *testing.T) {
	t.Parallel()
	options := Options{Receivers: 2, Payload: 200, Rate: 20, Parallel: 1, Duration: time.Second}
	result, err := Run(t.Context(), "lines", serveFloor(t, floor.NewJoined(8)), options)
	if err != nil {
		t.Fatal(err)
	}
	if cut := result.Values["cut_off"]; cut != 0 {
		t.Errorf("%v are cut off by a server that cuts nobody off", cut)
	}
	if rate := result.Values["line_kbit_per_s"]; rate <= 0 || rate > 100 {
		t.Errorf("a line has %v kbit/s", rate)
	}
	if result.Values["p99_beside_ms"] <= 0 {
		t.Error("nothing is delivered to the fast ones")
	}
}

func TestVanishLeavesNoGhost(t *testing.T) {
	// The smallest server knows no polling, which its clients are refused: that is told as a
	// failure, and no ghost.
	options := Options{Payload: 200, Count: 200, Parallel: 16, Duration: time.Second, Settle: 10 * time.Second}
	result, err := Run(t.Context(), "vanish", serveFloor(t, floor.NewOne()), options)
	if err != nil {
		t.Fatal(err)
	}
	if result.Values["ghosts"] != 0 {
		t.Errorf("%v ghosts", result.Values["ghosts"])
	}
	for _, note := range result.Notes {
		t.Log(note)
	}
}
