package streams

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

const headerData = `51-["stream:data",{"streamId":"one","header":true,"chunk":` + placeholder0 + `}]`

// expectReplay joins and checks what comes before the answer.
func expectReplay(t *testing.T, c *client, want ...eventstest.Packet) {
	t.Helper()
	if got := c.join("one"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	c.ExpectNothing()
}

func TestHeaderIsReplayedToLateJoiners(t *testing.T) {
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		for _, replay := range []Replay{ReplayNone, ReplayFirst} {
			t.Run(fmt.Sprintf("%s/%s", audience, replay), func(t *testing.T) {
				s := newServer(t, &Set{Audience: audience, Replay: replay})
				early, owner := s.Connect(), s.Connect()
				early.join("one")
				owner.startWith("one", "header\x00\xff")
				owner.ExpectNothing()
				early.Expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
				early.Expect(headerData, "header\x00\xff")
				owner.Send(`2["stream:data",{"streamId":"one","n":1}]`)
				early.Expect(`2["stream:data",{"streamId":"one","n":1}]`)

				late := s.Connect()
				expectReplay(t, late, eventstest.Packet{Text: headerData, Binary: []string{"header\x00\xff"}})
				owner.Send(`2["stream:data",{"streamId":"one","n":2}]`)
				late.Expect(`2["stream:data",{"streamId":"one","n":2}]`)
				early.Expect(`2["stream:data",{"streamId":"one","n":2}]`)
				owner.ExpectNothing()
				early.ExpectNothing()
			})
		}
	}
}

func TestFirstDataIsReplayedToLateJoiners(t *testing.T) {
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newServer(t, &Set{Audience: audience, Replay: ReplayFirst})
			owner := s.Connect()
			owner.start("one")
			before := s.Connect()
			expectReplay(t, before)
			first := eventstest.Packet{Text: `52-["stream:data",{"streamId":"one","n":0,"chunk":` + placeholder0 + `},{"_placeholder":true,"num":1}]`, Binary: []string{"first", "more"}}
			owner.Send(first.Text, first.Binary...)
			before.Expect(first.Text, first.Binary...)
			owner.Send(`2["stream:data",{"streamId":"one","n":1}]`)
			before.Expect(`2["stream:data",{"streamId":"one","n":1}]`)
			expectReplay(t, s.Connect(), first)
		})
	}
}

// Without `replay first`, and of data that names no stream, nothing is kept.
func TestNothingIsReplayedUnasked(t *testing.T) {
	s := newServer(t, &Set{})
	owner := s.Connect()
	owner.start("one")
	owner.Send(`21["stream:data",{"streamId":"one"}]`)
	owner.Expect(`31[{"success":true}]`)
	expectReplay(t, s.Connect())

	if err := s.UseSets(&Set{Replay: ReplayFirst}); err != nil {
		t.Fatal(err)
	}
	owner.Send(`21["stream:data",{"streamId":"two"}]`)
	owner.Expect(`31[{"success":true}]`)
	owner.Send(`21["stream:data","text"]`)
	owner.Expect(`31[{"success":true}]`)
	expectReplay(t, s.Connect())
}

// An owner that starts its stream again begins anew: what was kept is gone,
// and viewers are told.
func TestRestartBeginsAnew(t *testing.T) {
	s := newServer(t, &Set{Audience: AudienceSubscribers, Replay: ReplayFirst})
	owner, viewer := s.Connect(), s.Connect()
	table := s.table()
	held := s.kept
	const started = `2["stream:started",{"status":"ok","streamId":"one"}]`
	viewer.join("one")
	owner.startWith("one", "first")
	viewer.Expect(started)
	viewer.Expect(headerData, "first")
	size := held()
	owner.startWith("one", "second")
	viewer.Expect(started)
	viewer.Expect(headerData, "second")
	expectReplay(t, s.Connect(), eventstest.Packet{Text: headerData, Binary: []string{"second"}})
	if held() != size+1 {
		t.Errorf("%d bytes are held, want %d", held(), size+1)
	}
	owner.start("one")
	viewer.Expect(started)
	expectReplay(t, s.Connect())
	if held() != 0 {
		t.Errorf("%d bytes are held", held())
	}
	const data = `2["stream:data",{"streamId":"one"}]`
	owner.Send(data)
	viewer.Expect(data)
	expectReplay(t, s.Connect(), eventstest.Packet{Text: data})
	owner.Send(`2["stream:stop",{"streamId":"one"}]`)
	owner.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	viewer.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	expectReplay(t, s.Connect())
	if held() != 0 || len(table.snapshot()) != 0 {
		t.Errorf("%d bytes are held, streams %v", held(), table.snapshot())
	}
}

// What is kept for late joiners has a bound for the whole namespace.
func TestReplayBudget(t *testing.T) {
	s := newServer(t, &Set{Replay: ReplayFirst})
	table := s.table()
	// A client that is alone may have a tenth.
	leave := func(bytes int64) {
		table.mu.Lock()
		defer table.mu.Unlock()
		table.replays.Bound = 10 * bytes
	}
	owner, viewer := s.Connect(), s.Connect()
	header := strings.Repeat("x", 1000)
	leave(1000)
	owner.Send(`51-4["stream:start",{"streamId":"one","header":`+placeholder0+`}]`, header)
	owner.Expect(eventstest.RefusedAck(4, CodeReplayFull, "there is no room for the header"))
	owner.Expect(eventstest.Refusal(CodeReplayFull, "there is no room for the header"))
	if ids := table.snapshot(); len(ids) != 0 {
		t.Errorf("streams %v", ids)
	}
	leave(1200)
	owner.startWith("one", header)
	// A new header may take the place of the old one, but not be much larger.
	owner.startWith("one", header+"x")
	owner.Send(`51-["stream:start",{"streamId":"one","header":`+placeholder0+`}]`, header+header)
	owner.Expect(eventstest.Refusal(CodeReplayFull, "there is no room for the header"))
	expectReplay(t, viewer, eventstest.Packet{Text: headerData, Binary: []string{header + "x"}})

	// Data that there is no room for is sent, and not kept.
	leave(10)
	owner.start("two")
	owner.Send(`2["stream:data",{"streamId":"two"}]`)
	viewer.Expect(`2["stream:data",{"streamId":"two"}]`)
	if got := viewer.join("two"); len(got) != 0 {
		t.Errorf("replayed %v", got)
	}
	// The next data is kept when there is room again. It is then the first
	// that a late joiner gets.
	leave(1500)
	owner.Send(`2["stream:data",{"streamId":"two"}]`)
	viewer.Expect(`2["stream:data",{"streamId":"two"}]`)
	if got := s.Connect().join("two"); len(got) != 1 {
		t.Errorf("replayed %v", got)
	}
}

// What is kept of a small packet is small, also when the packet came in a
// large request.
func TestReplayHoldsNoMoreThanItCounts(t *testing.T) {
	const streams, junk = 12, 500_000
	s := newServer(t, &Set{Replay: ReplayFirst})
	raw := rawclient.New(s.URL)
	defer raw.Close()
	p, err := raw.Handshake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	post := func(packets ...string) {
		t.Helper()
		if answer, err := p.Post(t.Context(), packets...); err != nil || answer.Status != 200 {
			t.Fatalf("%+v, %v", answer, err)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	post("40")
	if _, err := p.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := heap()
	for i := range streams {
		post(fmt.Sprintf(`42["stream:start",{"streamId":"%d"}]`, i),
			fmt.Sprintf(`42["stream:data",{"streamId":"%d"}]`, i),
			`43999["`+strings.Repeat("x", junk)+`"]`)
	}
	table := s.table()
	eventstest.Eventually(t, "the data to be kept", func() bool {
		table.mu.Lock()
		defer table.mu.Unlock()
		return len(table.byID) == streams && table.byID[fmt.Sprint(streams-1)].kept != nil
	})
	eventstest.Eventually(t, "the requests to be forgotten", func() bool { return heap() < before+streams*junk/4 })
	post("1")
}

// With everyone as the audience, joiners hear data before they have joined.
// They get the header once, and miss nothing before or after it.
func TestJoinersOfEveryonesStreamMissNothing(t *testing.T) {
	const joiners, chunks = 8, 300
	s := newServer(t, &Set{})
	owner := s.Connect()
	owner.startWith("one", "header")
	var running sync.WaitGroup
	for range joiners {
		c := s.Connect()
		running.Go(func() {
			if err := c.TrySend(`299["stream:join",{"streamId":"one"}]`); err != nil {
				t.Error(err)
				return
			}
			headers := 0
			for next := 0; next < chunks || headers == 0; {
				r, err := c.Read()
				switch {
				case err != nil:
					t.Errorf("after %d chunks: %v", next, err)
					return
				case r.Text == headerData:
					headers++
				case r.Text == fmt.Sprintf(`2["stream:data",{"streamId":"one","n":%d}]`, next):
					next++
				case !strings.HasPrefix(r.Text, "399["):
					t.Errorf("after %d chunks: %v", next, r)
					return
				}
			}
			if headers != 1 {
				t.Errorf("%d headers", headers)
			}
		})
	}
	for i := range chunks {
		owner.Send(fmt.Sprintf(`2["stream:data",{"streamId":"one","n":%d}]`, i))
	}
	running.Wait()
}
