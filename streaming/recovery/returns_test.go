package recovery

import (
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestLookingForWhatWasMissedIsFast has a client come back that is in many rooms, to a log full of packets
// for others: what it costs does not grow with packets times rooms, as all who send wait meanwhile.
func TestLookingForWhatWasMissedIsFast(t *testing.T) {
	l := newTestLog(t, Options{Window: time.Hour, MaxBytes: 64_000_000, MaxPackets: 20_000, Lag: time.Hour})
	in := func(rooms int) *Session {
		s := l.session(nil, "192.0.2.1")
		for range rooms {
			s.Join(new(Room))
		}
		return s
	}
	few, many := in(1), in(10_000)
	var busy [100]Room
	for i := range 20_000 {
		l.send(Target{Rooms: []*Room{&busy[i%len(busy)]}}, nil, 10)
	}
	cost := func(s *Session) time.Duration {
		least := time.Hour
		for range 5 {
			begun := processorTime()
			l.expectMissed(s, 0, true)
			least = min(least, processorTime()-begun)
		}
		return least
	}
	if one, thousands := cost(few), cost(many); thousands > 10*one+30*time.Millisecond {
		t.Errorf("%s in ten thousand rooms, %s in one", thousands, one)
	}
}

// processorTime is what the process has had of the processors.
func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano())
}

// TestReturnsAreMetered has a client come back again and again with an offset of long ago: after some
// megabytes it may not go on with its session, and no other client is held up by that.
func TestReturnsAreMetered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLog(t, Options{Window: time.Hour, MaxBytes: 64_000_000, MaxPackets: 10_000, Lag: time.Hour})
		defer l.store.Close()
		home, away := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		hostile, honest := l.session("hostile", "192.0.2.1"), l.session("honest", "192.0.2.1")
		for range 10 {
			l.send(Target{Everyone: true}, nil, 100_000)
		}
		sent := 0
		comeBack := func(s *Session, address netip.Prefix) bool {
			if !s.MayReturn(address) {
				return false
			}
			missed, _ := l.Missed(s, 0, func(string) bool { return true }, func(uint64) bool { return true })
			s.Returns(address, 0, missed)
			for _, m := range missed {
				sent += m.Size()
			}
			return true
		}
		for comeBack(hostile, home) && sent < 100_000_000 {
		}
		if sent < returnBurst || sent > returnBurst+2_000_000 {
			t.Errorf("%d bytes were sent to one client", sent)
		}
		if comeBack(hostile, away) {
			t.Error("the client comes back from another address")
		}
		for range 5 {
			if !comeBack(honest, home) {
				t.Error("another client of the address is held up")
			}
		}
		time.Sleep(3 * time.Second)
		if !comeBack(hostile, home) {
			t.Error("the client is held up for ever")
		}
	})
}

// TestPacketsThatAreLookedAtAreMetered has a client come back to a log that has nothing for it.
func TestPacketsThatAreLookedAtAreMetered(t *testing.T) {
	l := newTestLog(t, Options{Window: time.Hour, MaxBytes: 64_000_000, MaxPackets: 10_000, Lag: time.Hour})
	home := netip.MustParsePrefix("192.0.2.1/32")
	s := l.session("hostile", "192.0.2.1")
	var other Room
	for range 10_000 {
		l.send(Target{Rooms: []*Room{&other}}, nil, 10)
	}
	times := 0
	for ; s.MayReturn(home) && times < 1000; times++ {
		missed, _ := l.Missed(s, 0, func(string) bool { return true }, func(uint64) bool { return true })
		s.Returns(home, 0, missed)
	}
	if most := returnBurst / (10_000 * lookBytes); times < most || times > 2*most {
		t.Errorf("all packets were looked at %d times", times)
	}
}
