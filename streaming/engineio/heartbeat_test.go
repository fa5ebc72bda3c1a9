package engineio

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// The defaults, which the tests of this file rely on.
const (
	interval = 25 * time.Second
	timeout  = 20 * time.Second
)

func TestHeartbeatOnPolling(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		watch := startWatch()
		for range 3 {
			expect(t, "poll", s.getIn(t, recorder), "2")
			watch.expectPassed(t, "ping", interval)
			time.Sleep(5 * time.Second)
			// From the pong on the next interval counts.
			watch = startWatch()
			expect(t, "post", s.postIn(t, recorder, "3"), "ok")
		}
		expect(t, "poll", s.getIn(t, recorder), "2")
		expect(t, "poll without a pong", s.getIn(t, recorder), "1")
		watch.expectPassed(t, "ping timeout", interval+timeout)
		recorder.waitClosed(t, ReasonPingTimeout)
	})
}

func TestHeartbeatOnWebSocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, recorder := s.connectPipe(t)
		watch := startWatch()
		for range 3 {
			expect(t, "packet", need(conn.ReadText())(t), "2")
			watch.expectPassed(t, "ping", interval)
			time.Sleep(5 * time.Second)
			watch = startWatch()
			must(t, conn.WriteText("3"))
		}
		expect(t, "packet", need(conn.ReadText())(t), "2")
		must(t, conn.ReadEnd())
		watch.expectPassed(t, "ping timeout", interval+timeout)
		recorder.waitClosed(t, ReasonPingTimeout)
	})
}

func TestHeartbeatGoesOnAfterUpgrade(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		watch := startWatch()
		time.Sleep(interval / 2)
		conn := s.upgradePipe(t, recorder)
		expect(t, "packet", need(conn.ReadText())(t), "2")
		watch.expectPassed(t, "ping", interval)
		must(t, conn.ReadEnd())
		watch.expectPassed(t, "ping timeout", interval+timeout)
		recorder.waitClosed(t, ReasonPingTimeout)
	})
}

// TestHeartbeatHearsWhoTalks lets a client talk that answers no ping: the pong may
// be behind much else that the client sends.
func TestHeartbeatHearsWhoTalks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, recorder := s.connectPipe(t)
		read := make(chan string, 100)
		go func() {
			defer close(read)
			for {
				packet, err := conn.ReadText()
				if err != nil {
					return
				}
				read <- packet
			}
		}()
		for range 20 {
			must(t, conn.WriteText("4I am here"))
			time.Sleep(timeout * 3 / 4)
		}
		expect(t, "reasons to close", len(recorder.closed()), 0)
		// Its own clock begins anew with each ping.
		if pings := len(read); pings < int(20*(timeout*3/4)/(interval+timeout)) {
			t.Errorf("it got %d pings", pings)
		}
		must(t, conn.WriteText("4and now I am gone"))
		watch := startWatch()
		<-recorder.over
		watch.expectPassed(t, "ping timeout", timeout)
		recorder.waitClosed(t, ReasonPingTimeout)
		for packet := range read {
			expect(t, "packet", packet, "2")
		}
	})
}

// TestHeartbeatPingOfWebSocketIsAnswered sends a ping frame, which browsers
// do not, and proxies do.
func TestHeartbeatPingOfWebSocketIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, recorder := s.connectPipe(t)
		must(t, conn.Write(clientFrame(ws.OpPing, true, "are you there")))
		frame := need(conn.ReadFrame())(t)
		expect(t, "frame", frame.Header.OpCode, ws.OpPong)
		expect(t, "payload", string(frame.Payload), "are you there")
		// A pong that nobody asked for is nothing.
		must(t, conn.Write(clientFrame(ws.OpPong, true, "")))
		must(t, conn.WriteText("4x"))
		recorder.waitFor(t, 1)
	})
}

// TestHeartbeatStalledListenerIsNotTimedOut lets a listener take its time: the
// client cannot be heard meanwhile, and goes on to get pings.
func TestHeartbeatStalledListenerIsNotTimedOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		release := make(chan struct{})
		s.handle = func(*recorder, []byte, bool) error {
			<-release
			return nil
		}
		conn, recorder := s.connectPipe(t)
		must(t, conn.WriteText("4take your time"))
		expect(t, "packet", need(conn.ReadText())(t), "2")
		answered := make(chan error, 1)
		go func() { answered <- conn.WriteText("3") }()
		for range 10 {
			expect(t, "packet", need(conn.ReadText())(t), "2")
		}
		synctest.Wait()
		expect(t, "reasons to close", len(recorder.closed()), 0)

		close(release)
		must(t, <-answered)
		watch := startWatch()
		expect(t, "packet", need(conn.ReadText())(t), "2")
		watch.expectPassed(t, "ping", interval)
		// Nothing stalls now.
		must(t, conn.ReadEnd())
		watch.expectPassed(t, "ping timeout", interval+timeout)
		recorder.waitClosed(t, ReasonPingTimeout)
	})
}

// TestHeartbeatGetAfterDeadlineIsRefusedAtOnce polls when the deadline has
// passed and the wheel has not come round yet.
func TestHeartbeatGetAfterDeadlineIsRefusedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		watch := startWatch()
		expect(t, "poll", s.getIn(t, recorder), "2")
		time.Sleep(interval + timeout + wheelTick/2 - time.Since(time.Time(watch)))
		expect(t, "reasons to close", len(recorder.closed()), 0)
		before := startWatch()
		if body := s.getIn(t, recorder); !strings.Contains(body, `"code":1`) {
			t.Errorf("got %q, want code 1", body)
		}
		expect(t, "time it took", time.Since(time.Time(before)), 0)
		recorder.waitClosed(t, ReasonPingTimeout)
	})
}

// TestHeartbeatWithoutPollExpires leaves a session alone after its handshake.
func TestHeartbeatWithoutPollExpires(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		watch := startWatch()
		recorder := s.pollIn(t)
		<-recorder.over
		watch.expectPassed(t, "ping timeout", interval+timeout)
		recorder.waitClosed(t, ReasonPingTimeout)
	})
}

// TestHeartbeatTimesOfMany begins sessions at different times: each is
// timed out at its own.
func TestHeartbeatTimesOfMany(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		const count = 200
		ended := make(chan time.Duration, count)
		for range count {
			watch := startWatch()
			recorder := s.pollIn(t)
			go func() {
				<-recorder.over
				ended <- time.Since(time.Time(watch))
			}()
			time.Sleep(137 * time.Millisecond)
		}
		for range count {
			if got := <-ended; got < interval+timeout || got > interval+timeout+2*wheelTick {
				t.Errorf("timed out after %v", got)
			}
		}
	})
}

// TestBeat decides at single moments.
func TestBeat(t *testing.T) {
	const (
		second = int64(time.Second)
		little = int64(time.Millisecond)
	)
	tests := []struct {
		name    string
		now     int64
		pong    int64
		alive   int64
		beat    heartbeat
		stalled bool

		// until is when the client need no longer wait.
		until int64

		next          int64
		expired, ping bool
		again         bool
		after         heartbeat
	}{
		{name: "too early", now: 24 * second, next: 25 * second},
		{
			name: "first ping", now: 25*second + little, ping: true,
			next: 35 * second, after: heartbeat{pingAt: 25 * second, waiting: true},
		},
		{
			name: "first ping, late", now: 30 * second, ping: true,
			next: 40 * second, after: heartbeat{pingAt: 30 * second, waiting: true},
		},
		{
			name: "no pong yet", now: 30 * second, beat: heartbeat{pingAt: 25 * second, waiting: true},
			next: 35 * second, after: heartbeat{pingAt: 25 * second, waiting: true},
		},
		{
			name: "no pong halfway", now: 35 * second, beat: heartbeat{pingAt: 25 * second, waiting: true},
			next: 45 * second, after: heartbeat{pingAt: 25 * second, waiting: true, asked: true},
		},
		{
			name: "no pong, but something else", now: 45*second + little, alive: 30 * second, beat: heartbeat{pingAt: 25 * second, waiting: true, asked: true},
			ping: true, again: true, next: 50 * second, after: heartbeat{pingAt: 25 * second, waiting: true, asked: true},
		},
		{
			name: "no pong", now: 45*second + little, beat: heartbeat{pingAt: 25 * second, waiting: true},
			expired: true, after: heartbeat{pingAt: 25 * second, waiting: true, asked: true},
		},
		{
			name: "no pong, stalled", now: 45*second + little, beat: heartbeat{pingAt: 25 * second, waiting: true}, stalled: true,
			ping: true, again: true, next: 65*second + little, after: heartbeat{pingAt: 45*second + little, waiting: true},
		},
		{
			name: "no pong, and the client had to wait", now: 45*second + little, beat: heartbeat{pingAt: 25 * second, waiting: true}, until: 26 * second,
			ping: true, again: true, next: 65*second + little, after: heartbeat{pingAt: 45*second + little, waiting: true},
		},
		{
			name: "no pong, and the client had to wait before the ping", now: 45*second + little, beat: heartbeat{pingAt: 25 * second, waiting: true}, until: 24 * second,
			expired: true, after: heartbeat{pingAt: 25 * second, waiting: true, asked: true},
		},
		{
			name: "no pong, and the process was held up", now: 60 * second, beat: heartbeat{pingAt: 25 * second, waiting: true},
			ping: true, again: true, next: 80 * second, after: heartbeat{pingAt: 60 * second, waiting: true},
		},
		{
			name: "pong", now: 45 * second, pong: 26 * second, beat: heartbeat{pingAt: 25 * second, waiting: true},
			next: 51 * second, after: heartbeat{pingAt: 25 * second, waiting: true},
		},
		{
			name: "next ping", now: 51*second + little, pong: 26 * second, beat: heartbeat{pingAt: 25 * second, waiting: true}, ping: true,
			next: 61 * second, after: heartbeat{pingAt: 51 * second, waiting: true},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &Session{options: Options{}.withDefaults(), heartbeat: test.beat}
			s.pongAt.Store(test.pong)
			s.aliveAt.Store(test.alive)
			s.stalled.Store(test.stalled)
			s.spending.until = test.until
			next, expired, ping, again := s.beatLocked(test.now)
			expect(t, "next", next, test.next)
			expect(t, "expired", expired, test.expired)
			expect(t, "ping", ping, test.ping)
			expect(t, "again", again, test.again)
			expect(t, "heartbeat", s.heartbeat, test.after)
		})
	}
}
