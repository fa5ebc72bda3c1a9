package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/load"
	"github.com/caddy-socketio/socketio-stream/bench/proc"
)

// state is what the server holds at one moment.
type state struct {
	Reload     int     `json:"after_reload"`
	Goroutines float64 `json:"goroutines"`
	HeapMiB    float64 `json:"heap_mib"`
	RSSMiB     float64 `json:"pss_mib"`
	Clients    int64   `json:"clients"`
}

func look(ctx context.Context, s *server, talk *load.Talk, reload int) (state, error) {
	st := state{Reload: reload, Clients: talk.Connected()}
	var err error
	if st.Goroutines, err = s.goroutines(ctx); err != nil {
		return st, err
	}
	heap, err := s.heap(ctx)
	if err != nil {
		return st, err
	}
	st.HeapMiB = mib(heap)
	usage, err := proc.Measure([]int{s.command.Process.Pid})
	st.RSSMiB = mib(float64(usage.PSS))
	return st, err
}

func mib(bytes float64) float64 { return float64(int64(bytes/(1<<20)*10)) / 10 }

type reloadResult struct {
	Reloads   int             `json:"reloads"`
	Failed    int             `json:"reloads_that_failed"`
	Seconds   float64         `json:"seconds"`
	ReloadP50 float64         `json:"reload_p50_ms"`
	ReloadP99 float64         `json:"reload_p99_ms"`
	ReloadMax float64         `json:"reload_max_ms"`
	States    []state         `json:"server"`
	Races     int             `json:"races"`
	Panics    int             `json:"panics_logged"`
	Clients   load.TalkReport `json:"clients"`
	// EndedEarly says what kept the other reloads from being made.
	EndedEarly string `json:"ended_early,omitempty"`
}

// warmUp is how many reloads come before the first look: caches fill.
const warmUp = 10

// reload changes the config again and again under the clients.
func reload(ctx context.Context, o *options, s *server, talk *load.Talk) (any, error) {
	var result reloadResult
	var took []time.Duration
	begun, mark := time.Now(), load.Now()
	for n := 1; n <= o.reloads; n++ {
		if time.Since(begun) > o.limit {
			result.EndedEarly = "the time was over"
			break
		}
		d, err := s.load(ctx, s.config(n, hub))
		if err != nil {
			result.EndedEarly = fmt.Sprintf("reload %d: %v", n, err)
			break
		}
		took = append(took, d)
		result.Reloads = n
		if o.failing > 0 && n%(o.reloads/o.failing) == 0 && result.Failed < o.failing {
			// It is refused only when the hub's new options have been provisioned.
			if _, err := s.load(ctx, strings.Replace(s.config(n, hub), "health /health", "serve_client /nonexistent/folder", 1)); err == nil {
				return nil, errors.New("a reload that had to fail did not")
			}
			result.Failed++
		}
		if n == min(warmUp, o.reloads) || n%max(1, o.reloads/10) == 0 {
			st, err := look(ctx, s, talk, n)
			if err != nil {
				return nil, err
			}
			result.States = append(result.States, st)
		}
		if o.pause > 0 {
			select {
			case <-time.After(o.pause):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	if len(took) == 0 {
		return nil, errors.New(result.EndedEarly)
	}
	result.Seconds = time.Since(begun).Seconds()
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	result.ReloadP50, result.ReloadP99, result.ReloadMax = ms(took[len(took)/2]), ms(took[len(took)*99/100]), ms(took[len(took)-1])
	talk.Settle(30 * time.Second)
	result.Clients = talk.Report(mark)
	st, err := look(ctx, s, talk, result.Reloads)
	if err != nil {
		return nil, err
	}
	result.States = append(result.States, st)
	result.Races, result.Panics = s.races(), s.panics()
	return result, nil
}

type leaveResult struct {
	ExitSeconds float64         `json:"exit_s"`
	Drain       string          `json:"drain"`
	Left        int64           `json:"clients_left_at_the_end"`
	Races       int             `json:"races"`
	Panics      int             `json:"panics_logged"`
	Ends        load.TalkReport `json:"ends"`
	Back        load.TalkReport `json:"back"`
}

// leave ends Caddy, starts it again and waits until all clients are back.
func leave(ctx context.Context, o *options, s *server, talk *load.Talk) (any, error) {
	result := leaveResult{Drain: o.drain.String()}
	mark := load.Now()
	took, err := s.terminate()
	if err != nil {
		return nil, err
	}
	result.ExitSeconds, result.Left = took.Seconds(), talk.Connected()
	result.Ends = talk.Report(mark)
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	if err := everyoneBack(ctx, o, talk); err != nil {
		return nil, err
	}
	result.Back = talk.Report(mark)
	result.Races, result.Panics = s.races(), s.panics()
	return result, nil
}

type removeResult struct {
	ReloadMS float64         `json:"reload_ms"`
	Drain    string          `json:"drain"`
	Races    int             `json:"races"`
	Panics   int             `json:"panics_logged"`
	Ends     load.TalkReport `json:"ends"`
	Back     load.TalkReport `json:"back"`
}

// removeHub loads a config that does not name the hub, and then one that does.
func removeHub(ctx context.Context, o *options, s *server, talk *load.Talk) (any, error) {
	result := removeResult{Drain: o.drain.String()}
	mark := load.Now()
	took, err := s.load(ctx, s.config(1, ""))
	if err != nil {
		return nil, err
	}
	result.ReloadMS = float64(took.Microseconds()) / 1000
	if err := await(ctx, "all clients to be closed", func() bool { return talk.Connected() == 0 }); err != nil {
		return nil, err
	}
	result.Ends = talk.Report(mark)
	if _, err := s.load(ctx, s.config(2, hub)); err != nil {
		return nil, err
	}
	if err := everyoneBack(ctx, o, talk); err != nil {
		return nil, err
	}
	result.Back = talk.Report(mark)
	result.Races, result.Panics = s.races(), s.panics()
	return result, nil
}

func everyoneBack(ctx context.Context, o *options, talk *load.Talk) error {
	return await(ctx, "all clients to be back", func() bool { return talk.Connected() == int64(o.clients) })
}

func await(ctx context.Context, what string, condition func() bool) error {
	for deadline := time.Now().Add(time.Minute); !condition(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain: %s", what)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
