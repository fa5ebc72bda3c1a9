package engineio

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

func TestUpgrade(t *testing.T) {
	s := newServer(t, Options{})
	p, recorder := s.poller(t)
	pending := s.get(t, p)
	conn := need(s.client.Dial(t.Context(), p.Query(rawclient.WebSocket)))(t)
	defer func() { _ = conn.Close() }()
	must(t, conn.WriteText("2probe"))
	expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
	expect(t, "pending poll", receive(t, pending).Body, "6")
	expect(t, "transport", recorder.session.Transport(), Polling)

	// What is sent now waits for the new transport.
	recorder.session.Send(text("between"))
	must(t, conn.WriteText("5"))
	expect(t, "packet", need(conn.ReadText())(t), "4between")
	expect(t, "transport", recorder.session.Transport(), WebSocket)
	must(t, conn.WriteText("4hello"))
	recorder.waitFor(t, 1)
	must(t, conn.Close())
	recorder.waitClosed(t, ReasonTransportClose)
}

// TestPingFramesAreAnsweredBeforeTheUpgrade holds that a WebSocket answers ping frames
// before the session has moved to it, see section 5.5.2 of RFC 6455.
func TestPingFramesAreAnsweredBeforeTheUpgrade(t *testing.T) {
	s := newServer(t, Options{})
	p, recorder := s.poller(t)
	conn := need(s.client.Dial(t.Context(), p.Query(rawclient.WebSocket)))(t)
	defer func() { _ = conn.Close() }()
	ping := func(data string) {
		t.Helper()
		must(t, conn.Write(clientFrame(ws.OpPing, true, data)))
		pong := need(conn.ReadFrame())(t)
		if pong.Header.OpCode != ws.OpPong || string(pong.Payload) != data {
			t.Errorf("a ping of %q is answered by a frame of type %d with %q", data, pong.Header.OpCode, pong.Payload)
		}
	}
	ping("first")
	ping("")
	must(t, conn.WriteText("2probe"))
	expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
	ping("second")
	must(t, conn.WriteText("5"))
	ping("third")
	must(t, conn.WriteText("4hello"))
	expect(t, "message", recorder.waitFor(t, 1)[0], "hello")
}

// TestUpgradedSessionRefusesHTTPAtOnce polls and posts after the upgrade, and
// has a poll pending while it happens.
func TestUpgradedSessionRefusesHTTPAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, recorder.session.id))
		must(t, conn.WriteText("2probe"))
		need(conn.ReadText())(t)
		pending := make(chan string, 1)
		go func() { pending <- s.getIn(t, recorder) }()
		synctest.Wait()
		watch := startWatch()
		must(t, conn.WriteText("5"))
		const refusal = `{"code":3,"message":"Bad request"}`
		expect(t, "pending poll", <-pending, refusal)
		expect(t, "poll", s.getIn(t, recorder), refusal)
		expect(t, "post", s.postIn(t, recorder, "4x"), refusal)
		expect(t, "time it took", time.Since(time.Time(watch)), 0)
		must(t, conn.WriteText("4hello"))
		expect(t, "message", recorder.waitFor(t, 1)[0], "hello")
	})
}

// TestUpgradeProbeInOneSegment sends the probe with the request, and then all
// of the upgrade.
func TestUpgradeProbeInOneSegment(t *testing.T) {
	s := newServer(t, Options{})
	for range 100 {
		p, _ := s.poller(t)
		conn := need(s.client.Dial(t.Context(), p.Query(rawclient.WebSocket), rawclient.Text("2probe")))(t)
		expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
		must(t, conn.Close())
	}
	for range 100 {
		p, recorder := s.poller(t)
		conn := need(s.client.Dial(t.Context(), p.Query(rawclient.WebSocket),
			rawclient.Text("2probe"), rawclient.Text("5"), rawclient.Text("4first"), rawclient.Text("4second")))(t)
		expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
		expect(t, "messages", strings.Join(recorder.waitFor(t, 2), " "), "first second")
		must(t, conn.Close())
	}
}

// TestUpgradeIsRefused asks for an upgrade where there can be none. The Node.js
// implementation accepts the WebSocket and closes it.
func TestUpgradeIsRefused(t *testing.T) {
	s := newServer(t, Options{})
	t.Run("already upgraded", func(t *testing.T) {
		p, recorder := s.poller(t)
		conn := need(p.Upgrade(t.Context()))(t)
		defer func() { _ = conn.Close() }()
		eventually(t, "the session to change over", func() bool { return recorder.session.Transport() == WebSocket })
		s.expectClosedUnused(t, p)
		must(t, conn.WriteText("4x"))
		recorder.waitFor(t, 1)
	})
	t.Run("began on WebSocket", func(t *testing.T) {
		conn, recorder := s.connect(t)
		s.expectClosedUnused(t, &rawclient.Poller{Client: s.client, Open: conn.Open})
		must(t, conn.WriteText("4x"))
		recorder.waitFor(t, 1)
	})
	t.Run("another is under way", func(t *testing.T) {
		p, recorder := s.poller(t)
		first := need(s.client.Dial(t.Context(), p.Query(rawclient.WebSocket)))(t)
		defer func() { _ = first.Close() }()
		s.expectClosedUnused(t, p)
		// The first goes on as if nothing had been.
		must(t, first.WriteText("2probe"))
		expect(t, "answer to the probe", need(first.ReadText())(t), "3probe")
		must(t, first.WriteText("5"))
		must(t, first.WriteText("4x"))
		recorder.waitFor(t, 1)
	})
	t.Run("closed", func(t *testing.T) {
		p, recorder := s.poller(t)
		recorder.session.Close(ReasonForcedClose)
		s.expectClosedUnused(t, p)
		expect(t, "poll", need(p.Get(t.Context()))(t).Body, "1")
	})
}

// TestUpgradeGivenUp abandons the new transport at each step: the session
// stays on polling, and can try again.
func TestUpgradeGivenUp(t *testing.T) {
	tests := []struct {
		name     string
		answered bool
		frames   [][]byte
	}{
		{"nothing sent", false, nil},
		{"half a probe", false, [][]byte{rawclient.Text("2probe")[:4]}},
		{"probed", true, [][]byte{rawclient.Text("2probe")}},
		{"wrong probe", false, [][]byte{rawclient.Text("2prob")}},
		{"message in place of a probe", false, [][]byte{rawclient.Text("4x")}},
		{"message in place of the upgrade", true, [][]byte{rawclient.Text("2probe"), rawclient.Text("4x")}},
		{"nonsense", false, [][]byte{rawclient.Text("x")}},
		{"empty packet", false, [][]byte{rawclient.Text("")}},
		{"binary", false, [][]byte{clientFrame(ws.OpBinary, true, "2probe")}},
		{"close frame", true, [][]byte{rawclient.Text("2probe"), clientFrame(ws.OpClose, true, "\x03\xe8")}},
		{"violation", false, [][]byte{{0x81, 1, 'x'}}},
	}
	s := newServer(t, Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, recorder := s.poller(t)
			conn := need(s.client.Dial(t.Context(), p.Query(rawclient.WebSocket), test.frames...))(t)
			if test.answered {
				expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
			}
			must(t, conn.Close())
			eventually(t, "the attempt to end", func() bool {
				recorder.session.mu.Lock()
				defer recorder.session.mu.Unlock()
				return !recorder.session.machine.upgrading()
			})
			pending := s.get(t, p)
			need(p.Post(t.Context(), "4still here"))(t)
			expect(t, "messages", strings.Join(recorder.texts(), " "), "still here")
			recorder.session.Send(text("you too"))
			expect(t, "poll", receive(t, pending).Body, "4you too")

			again := need(p.Upgrade(t.Context()))(t)
			defer func() { _ = again.Close() }()
			must(t, again.WriteText("4upgraded"))
			recorder.waitFor(t, 2)
			expect(t, "reasons to close", len(recorder.closed()), 0)
		})
	}
}

// TestUpgradeTimeout begins upgrades and does not end them.
func TestUpgradeTimeout(t *testing.T) {
	for _, packets := range []int{0, 1} {
		t.Run(fmt.Sprintf("after %d packets", packets), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{UpgradeTimeout: 7 * time.Second})
				recorder := s.pollIn(t)
				watch := startWatch()
				conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, recorder.session.id))
				for range packets {
					must(t, conn.WriteText("2probe"))
					need(conn.ReadText())(t)
				}
				must(t, conn.ReadEnd())
				watch.expectPassed(t, "end of the attempt", 7*time.Second)
				expect(t, "post", s.postIn(t, recorder, "4still here"), "ok")
				synctest.Wait()

				// Polls are held again, and another attempt may begin.
				expect(t, "poll", s.getIn(t, recorder), "2")
				watch.expectPassed(t, "ping", interval)
				expect(t, "post", s.postIn(t, recorder, "3"), "ok")
				s.upgradePipe(t, recorder)
			})
		})
	}
}

// TestUpgradeDoesNotOutliveSession aborts the session during an upgrade.
func TestUpgradeDoesNotOutliveSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		watch := startWatch()
		conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, recorder.session.id))
		must(t, conn.WriteText("2probe"))
		need(conn.ReadText())(t)
		recorder.session.abort(ReasonForcedClose)
		must(t, conn.ReadEnd())
		expect(t, "time it took", time.Since(time.Time(watch)), 0)
		recorder.waitClosed(t, ReasonForcedClose)
	})
}

// TestUpgradeUnderTraffic upgrades while both sides send all the time, as
// clients do: each message arrives once, and in order.
func TestUpgradeUnderTraffic(t *testing.T) {
	const (
		clients   = 8
		upgrades  = 25 // of each client
		mostToSay = 400
	)
	s := newServer(t, Options{})
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range upgrades {
				if err := s.upgradeUnderTraffic(t, mostToSay); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// upgradeUnderTraffic begins a session on polling and moves it to a WebSocket,
// in the way of the JavaScript client.
func (s *testServer) upgradeUnderTraffic(t *testing.T, count int) error {
	var sending sync.WaitGroup
	defer sending.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := s.client.Handshake(ctx)
	if err != nil {
		return err
	}
	recorder := s.recorder(t, p.Open.SID)
	upgraded := make(chan struct{})
	sending.Go(func() {
		for i := range count {
			if i == count/2 {
				// Part of it is for the new transport, whoever is faster.
				select {
				case <-upgraded:
				case <-ctx.Done():
				}
			}
			recorder.session.Send(text(strconv.Itoa(i)))
		}
	})

	var got []string
	posted := 0
	post := func() error {
		answer, err := p.Post(ctx, "4"+strconv.Itoa(posted))
		posted++
		if err == nil && answer.Status != http.StatusOK {
			err = fmt.Errorf("post answered %d", answer.Status)
		}
		return err
	}
	// Polls go on until the probe is answered; the last is waited for.
	probed := make(chan struct{})
	conn, err := s.client.Dial(ctx, p.Query(rawclient.WebSocket), rawclient.Text("2probe"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	probing := make(chan error, 1)
	go func() {
		defer close(probed)
		answer, err := conn.ReadText()
		if err == nil && answer != "3probe" {
			err = fmt.Errorf("the probe was answered %q", answer)
		}
		probing <- err
	}()
	for pausing := false; !pausing; {
		if err := post(); err != nil {
			return err
		}
		packets, err := p.Poll(ctx)
		if err != nil {
			return err
		}
		for _, packet := range packets {
			if packet != "6" {
				got = append(got, packet)
			}
		}
		select {
		case <-probed:
			pausing = true
		default:
		}
	}
	if err := <-probing; err != nil {
		return err
	}
	if err := conn.WriteText("5"); err != nil {
		return err
	}
	close(upgraded)
	for range 10 {
		if err := conn.WriteText("4" + strconv.Itoa(posted)); err != nil {
			return err
		}
		posted++
	}
	for len(got) < count {
		packet, err := conn.ReadText()
		if err != nil {
			return fmt.Errorf("after %d packets: %w", len(got), err)
		}
		got = append(got, packet)
	}
	expectInOrder(t, "to the client", got, "4")
	heard := recorder.waitFor(t, posted)
	if len(heard) != posted {
		return fmt.Errorf("%d messages from the client, want %d", len(heard), posted)
	}
	expectInOrder(t, "from the client", heard, "")
	return nil
}

// expectInOrder is expectNumbered for goroutines of a test.
func expectInOrder(t testing.TB, what string, got []string, prefix string) {
	t.Helper()
	for i, message := range got {
		if message != prefix+strconv.Itoa(i) {
			t.Errorf("%s: message %d is %q", what, i, message)
			return
		}
	}
}

// TestUpgradeRacesWithEverything upgrades, polls, posts, sends and closes all
// at once: nothing hangs, and the listener hears of the end once.
func TestUpgradeRacesWithEverything(t *testing.T) {
	s := newServer(t, Options{UpgradeTimeout: 50 * time.Millisecond})
	for i := range 60 {
		p, recorder := s.poller(t)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = p.Poll(ctx) })
		all.Go(func() { _, _ = p.Post(ctx, "4x", "4y") })
		for range 2 {
			all.Go(func() {
				conn, err := s.client.Dial(ctx, p.Query(rawclient.WebSocket), rawclient.Text("2probe"), rawclient.Text("5"))
				if err == nil {
					_, _ = conn.ReadFrame()
					_ = conn.Close()
				}
			})
		}
		all.Go(func() {
			for range 10 {
				recorder.session.Send(text("x"))
			}
			switch i % 3 {
			case 0:
				recorder.session.Close(ReasonForcedClose)
			case 1:
				recorder.session.abort(ReasonForcedClose)
			default:
				cancel()
			}
		})
		all.Wait()
		cancel()
	}
}
