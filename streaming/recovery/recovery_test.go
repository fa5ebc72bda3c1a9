package recovery

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// testLog is a log with its store, and what tests do with it.
type testLog struct {
	*Log
	t testing.TB
}

func newTestLog(t testing.TB, o Options) *testLog {
	t.Helper()
	store := new(Store)
	store.Use(o)
	t.Cleanup(store.Close)
	return &testLog{store.NewLog(), t}
}

// session makes a session of a client of an address, which has begun.
func (l *testLog) session(client any, address string) *Session {
	s := l.NewSession("id of 20 characters.")
	prefix, _ := netip.ParsePrefix(address + "/32")
	s.Of(client, prefix)
	s.Brings("")
	s.Begin()
	return s
}

func (l *testLog) send(t Target, cause *Session, bytes int) *Entry {
	e := l.Append(t, cause)
	l.Keep(e, message(bytes))
	return e
}

func message(bytes int) *wire.Message { return wire.New([][]byte{make([]byte, bytes)}, nil, 0) }

// missed returns how many packets a session has missed since its beginning.
func (l *testLog) missed(s *Session) (packets int, ok bool) {
	l.t.Helper()
	place, reason := s.After("")
	if reason != Recovered {
		l.t.Fatal("it has no place")
	}
	messages, ok := l.Missed(s, place, func(string) bool { return true }, func(uint64) bool { return true })
	return len(messages), ok
}

func (l *testLog) expectMissed(s *Session, want int, wantOK bool) {
	l.t.Helper()
	if got, ok := l.missed(s); got != want || ok != wantOK {
		l.t.Errorf("missed %d, %v; want %d, %v", got, ok, want, wantOK)
	}
}

var small = Options{Window: time.Minute, MaxBytes: 1_000_000, MaxPackets: 1000, Lag: time.Second}

// TestOneClientDoesNotPushOutWhatOthersMiss has a client send without end: what it has sent itself goes first.
func TestOneClientDoesNotPushOutWhatOthersMiss(t *testing.T) {
	l := newTestLog(t, small)
	var room, flooded Room
	s, flooder := l.session("quiet", "192.0.2.1"), l.session("flooder", "192.0.2.2")
	s.Join(&room)
	flooder.Join(&flooded)
	l.send(Target{Rooms: []*Room{&room}}, nil, 100)
	l.send(Target{Rooms: []*Room{&room}}, s, 100)
	for range 5000 {
		l.send(Target{Rooms: []*Room{&flooded}, Sender: flooder}, flooder, 500)
	}
	l.expectMissed(s, 2, true)
	if m := l.store.Metrics(); m.Bytes > small.MaxBytes/10+10_000 || m.Packets > 110 {
		t.Errorf("%+v", m)
	}
	// It has missed nothing itself, as it was the one who sent it.
	l.expectMissed(flooder, 0, true)
	// Whoever heard it has.
	other := l.session("other", "192.0.2.3")
	other.Join(&flooded)
	other.base = 0
	l.expectMissed(other, 0, true)
	for range 200 {
		l.send(Target{Rooms: []*Room{&flooded}, Sender: flooder}, flooder, 500)
	}
	l.expectMissed(other, 0, false)
}

// TestOldestGoesFirst bounds what is kept by bytes and by packets.
func TestOldestGoesFirst(t *testing.T) {
	for name, bytes := range map[string]int{"bytes": 10_000, "packets": 1} {
		t.Run(name, func(t *testing.T) {
			l := newTestLog(t, small)
			early := l.session(nil, "192.0.2.1")
			for range 2000 {
				l.send(Target{Everyone: true}, nil, bytes)
			}
			late := l.session(nil, "192.0.2.1")
			l.send(Target{Everyone: true}, nil, bytes)
			m := l.store.Metrics()
			if m.Bytes > small.MaxBytes || m.Packets > int64(small.MaxPackets) || m.Bytes < small.MaxBytes*9/10 {
				t.Errorf("%+v", m)
			}
			l.expectMissed(early, 0, false)
			l.expectMissed(late, 1, true)
			l.send(Target{Everyone: true}, nil, int(small.MaxBytes))
			l.expectMissed(late, 0, false)
		})
	}
}

// TestQuietRoomIsNotLostWithBusyOnes pushes out what is for others.
func TestQuietRoomIsNotLostWithBusyOnes(t *testing.T) {
	l := newTestLog(t, small)
	var quiet, busy Room
	s := l.session(nil, "192.0.2.1")
	s.Join(&quiet)
	for range 3000 {
		l.send(Target{Rooms: []*Room{&busy}}, nil, 500)
	}
	l.send(Target{Rooms: []*Room{&quiet, &busy}}, nil, 500)
	l.expectMissed(s, 1, true)
}

// TestOldPacketsGo holds that nothing is kept for longer than it may be asked for.
func TestOldPacketsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLog(t, small)
		for range 10 {
			l.send(Target{Everyone: true}, l.session(nil, "192.0.2.1"), 100)
			time.Sleep(time.Second)
		}
		time.Sleep(small.Window - 5*time.Second)
		if m := l.store.Metrics(); m.Packets != 10 {
			t.Errorf("%+v", m)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if m := l.store.Metrics(); m.Packets != 0 || m.Bytes != 0 || l.store.shares.Held() != 0 {
			t.Errorf("%+v", m)
		}
	})
}

// TestWaitsAreShared holds that no client and no address has all places of those that wait, and that the
// oldest of its own give way.
func TestWaitsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLog(t, small)
		ended := make(map[string]int)
		done := make(chan string, 10_000)
		wait := func(client, address string) *Wait {
			return l.store.Wait(l.session(client, address), 0, func() { done <- client })
		}
		count := func() {
			synctest.Wait()
			for len(done) > 0 {
				ended[<-done]++
			}
		}
		honest := wait("honest", "192.0.2.1")
		for range 1000 {
			wait("greedy", "192.0.2.2")
		}
		count()
		if ended["honest"] != 0 || ended["greedy"] < 950 {
			t.Errorf("%v", ended)
		}
		for i := range 1000 {
			wait(fmt.Sprint("of many ", i), "192.0.2.3")
		}
		count()
		if m := l.store.Metrics(); ended["honest"] != 0 || m.Waiting > 100 || m.Bytes > small.MaxBytes/2 {
			t.Errorf("%+v", m)
		}
		honest.Stop()
		time.Sleep(small.Window)
		count()
		if m := l.store.Metrics(); ended["honest"] != 0 || m.Waiting != 0 || m.Bytes != 0 {
			t.Errorf("%v, %+v", ended, m)
		}
	})
}

// TestOffsets holds which offsets a client may name.
func TestOffsets(t *testing.T) {
	l := newTestLog(t, small)
	l.send(Target{Everyone: true}, nil, 1)
	before := l.Head()
	s := l.session(nil, "")
	e := l.send(Target{Everyone: true}, nil, 1)
	for offset, want := range map[string]bool{
		"": true, l.Head(): true, l.OffsetOf(e): true, before: true, l.epoch + ".0": false, l.epoch + ".00": false, l.epoch + ".3": false,
		l.epoch: false, "." + "2": false, l.epoch + ".+2": false, l.epoch + ".2 ": false, "AAAAAAAA.2": false, "2": false,
	} {
		if _, reason := s.After(offset); (reason == Recovered) != want {
			t.Errorf("%q: %v", offset, reason)
		}
	}
	if !IsOffset(l.Head()) || IsOffset("") || IsOffset("text") || IsOffset("a.b.c") || IsOffset(l.Head()+"zzzzzzzzzzzzzzz") {
		t.Error("what is an offset?")
	}
	s.Resume(l.Head(), 2)
	if _, reason := s.After(before); reason == Recovered {
		t.Error("it goes back behind what it has had")
	}
}

// TestMarks holds that what one has sent itself is told apart from what others have.
func TestMarks(t *testing.T) {
	a, b, c := new(Session), new(Session), new(Session)
	var m mark
	for _, note := range []struct {
		place uint64
		by    *Session
	}{{3, a}, {5, b}, {4, a}, {9, b}, {7, a}} {
		m.note(note.place, note.by)
	}
	if got := []uint64{m.of(a), m.of(b), m.of(c)}; !slices.Equal(got, []uint64{9, 7, 9}) {
		t.Error(got)
	}
}

// TestRoomsOfLongAgo holds that a session which has been in more rooms than are known is not recovered from a
// time when that matters.
func TestRoomsOfLongAgo(t *testing.T) {
	l := newTestLog(t, small)
	rooms := make([]Room, 2*maxStays)
	s := l.session(nil, "")
	for i := range rooms {
		s.Join(&rooms[i])
		l.send(Target{Rooms: []*Room{&rooms[i]}}, nil, 1)
		s.Leave(&rooms[i])
	}
	l.expectMissed(s, 0, false)
	s.Resume("", maxStays)
	l.expectMissed(s, maxStays, true)
	for range 3 {
		s.Beat(true)
	}
	l.expectMissed(s, 0, true)
	if len(s.stays) != 0 {
		t.Errorf("%d stays", len(s.stays))
	}
}
