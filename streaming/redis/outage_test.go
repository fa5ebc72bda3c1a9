package redis

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// TestRedisIsKilledAndComesBack holds that local delivery goes on, that what could not be published is
// counted and logged once, and that afterwards everything arrives, once and in order.
func TestRedisIsKilledAndComesBack(t *testing.T) { inEachMode(t, redisIsKilledAndComesBack) }

func redisIsKilledAndComesBack(t *testing.T, in mode) {
	r := startRedis(t)
	one, two := newServer(t, in.at(r)), newServer(t, in.at(r))
	here, there := one.connect(), two.connect()
	n := one.Of("/")
	_ = n.Emit("before")
	here.expect(`2["before"]`)
	there.expect(`2["before"]`)
	// Redis may hand it on before it has answered that.
	eventually(t, "it to be counted as published", func() bool { return one.figure(figurePublished) == 1 })

	r.stop()
	eventually(t, "the outage to be noticed", func() bool { return one.node.Health() != nil && two.node.Health() != nil })
	if err := one.Health(); err == nil || !strings.Contains(err.Error(), "127.0.0.1:"+r.port) {
		t.Errorf("health %v", err)
	}
	for i := range 100 {
		_ = n.Emit("during", i)
		here.expect(fmt.Sprintf(`2["during",%d]`, i))
	}
	eventually(t, "what is lost to be counted", func() bool { return one.figure(figureLost) == 100 })
	if _, err := n.Everyone().FetchSockets(t.Context()); err == nil {
		t.Error("the sockets of others are known")
	}
	if _, err := n.To("nobody").Call(t.Context(), "question", packet.Args{}); err == nil {
		t.Error("others were asked")
	}

	r.start()
	eventually(t, "both to be back", func() bool { return one.node.Health() == nil && two.node.Health() == nil })
	for i := range 100 {
		_ = n.Emit("after", i)
	}
	for i := range 100 {
		want := fmt.Sprintf(`2["after",%d]`, i)
		here.expect(want)
		there.expect(want)
	}
	if down, up := one.logs.with("no connection to Redis"), one.logs.with("connected to Redis again"); len(down) != 1 || len(up) != 1 || !strings.Contains(up[0], "lost=100") {
		t.Errorf("logged %q, %q", down, up)
	}
	select {
	case text := <-there.got:
		t.Errorf("also got %s", text)
	default:
	}
}

// TestRedisIsStoppedForAWhile holds that a Redis that does not answer is noticed, and that what waited
// for it does not come twice.
func TestRedisIsStoppedForAWhile(t *testing.T) { inEachMode(t, redisIsStoppedForAWhile) }

func redisIsStoppedForAWhile(t *testing.T, in mode) {
	r := startRedis(t)
	one, two := newServer(t, in.at(r)), newServer(t, in.at(r))
	there := two.connect()
	r.signal(syscall.SIGSTOP)
	eventually(t, "the outage to be noticed", func() bool { return one.node.Health() != nil && two.node.Health() != nil })
	for i := range 50 {
		_ = one.Of("/").Emit("during", i)
	}
	r.signal(syscall.SIGCONT)
	eventually(t, "both to be back", func() bool { return one.node.Health() == nil && two.node.Health() == nil })
	_ = one.Of("/").Emit("end")
	last := -1
	for {
		text := there.next()
		if text == `2["end"]` {
			break
		}
		var i int
		if _, err := fmt.Sscanf(text, `2["during",%d]`, &i); err != nil || i <= last {
			t.Errorf("got %s after %d", text, last)
		}
		last = i
	}
}

// TestADeafServerSaysSo holds that a server that Redis no longer sends anything notices that, and
// subscribes again.
func TestADeafServerSaysSo(t *testing.T) { inEachMode(t, aDeafServerSaysSo) }

func aDeafServerSaysSo(t *testing.T, in mode) {
	r := startRedis(t)
	one, two := newServer(t, in.at(r)), newServer(t, in.at(r))
	there := two.connect()
	l := two.node.live.Load()
	l.mu.Lock()
	err := errors.Join(l.sub.plain.Unsubscribe(l.ctx), l.sub.plain.PUnsubscribe(l.ctx), l.sub.plain.SUnsubscribe(l.ctx))
	l.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "that it is deaf to be logged", func() bool { return len(two.logs.with("does not hear itself through Redis")) == 1 })
	eventually(t, "it to hear again", func() bool { return two.node.Health() == nil })
	_ = one.Of("/").Emit("news")
	there.expect(`2["news"]`)
	if len(one.logs.with("does not hear itself")) != 0 {
		t.Error("the other one is deaf too")
	}
}

// TestWrongPassword holds that the reason is named, and that the server does its work all the same.
func TestWrongPassword(t *testing.T) {
	r := startRedis(t, "--requirepass", "secret")
	wrong := r.at(func(o *Options) { o.Password = "wrong" })
	s := newUnconnected(t, wrong)
	c := s.connect()
	eventually(t, "the reason", func() bool {
		err := s.Health()
		return err != nil && strings.Contains(err.Error(), "WRONGPASS")
	})
	_ = s.Of("/").Emit("news")
	c.expect(`2["news"]`)
	eventually(t, "the line", func() bool { return len(s.logs.with("WRONGPASS")) > 0 })
	if len(s.logs.with("wrong\"")) > 0 {
		t.Errorf("the password is logged: %q", s.logs.list)
	}
	right := r.at(func(o *Options) { o.Password, o.Same = "secret", "right" })
	if err := s.node.Use(right); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node to be connected", func() bool { return s.node.Health() == nil })
	other := newServer(t, right)
	_ = other.Of("/").Emit("more")
	c.expect(`2["more"]`)
}

// TestOptionsChangeWithoutAGap holds that nothing is missed and nothing comes twice while a server
// changes its connection, in either direction, and that requests are answered.
func TestOptionsChangeWithoutAGap(t *testing.T) { inEachMode(t, optionsChangeWithoutAGap) }

func optionsChangeWithoutAGap(t *testing.T, in mode) {
	r := startRedis(t)
	one, two := newServer(t, in.at(r)), newServer(t, in.at(r))
	here, there := one.connect(), two.connect()
	done, sent := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { sent <- n }()
		for ; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond / 2):
			}
			_ = one.Of("/").Emit("one", n)
			_ = two.Of("/").Emit("two", n)
		}
	}()
	for i := range 5 {
		before := two.node.live.Load()
		if err := two.node.Use(in.at(r, func(o *Options) { o.Same = fmt.Sprint(i) })); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the connection to be changed", func() bool { return two.node.live.Load() != before })
		eventually(t, "the one before to be closed", func() bool { return before.ctx.Err() != nil })
	}
	close(done)
	n := <-sent
	for _, c := range []*client{here, there} {
		next := map[string]int{"one": 0, "two": 0}
		for next["one"] < n || next["two"] < n {
			var event string
			var i int
			text := strings.NewReplacer(`2[`, "", `"`, "", ",", " ", "]", "").Replace(c.next())
			if _, err := fmt.Sscanf(text, "%s %d", &event, &i); err != nil || i != next[event] {
				t.Fatalf("got %s, want %s %d of %d", text, event, next[event], n)
			}
			next[event]++
		}
	}
	if states, err := one.Of("/").Everyone().FetchSockets(t.Context()); err != nil || len(states) != 2 {
		t.Errorf("%d sockets, %v", len(states), err)
	}
}

// TestSameOptionsKeepTheConnection holds that nothing is done at a reload that changes nothing.
func TestSameOptionsKeepTheConnection(t *testing.T) {
	r := startRedis(t)
	s := newServer(t, r.at())
	before := s.node.live.Load()
	if err := s.node.Use(r.at()); err != nil {
		t.Fatal(err)
	}
	if s.node.live.Load() != before || s.node.next.Load() != nil {
		t.Error("the connection is another")
	}
	// An address where nobody answers is given up for the one before.
	if err := s.node.Use(r.at(func(o *Options) { o.URLs, o.Same = []string{"redis://127.0.0.1:1"}, "nobody" })); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reason", func() bool { return s.node.Health() != nil })
	if err := s.node.Use(r.at()); err != nil {
		t.Fatal(err)
	}
	if s.node.live.Load() != before || s.node.Health() != nil {
		t.Errorf("health %v", s.node.Health())
	}
}

// TestTheQueueIsBounded holds that what waits for Redis takes a bounded amount of memory.
func TestTheQueueIsBounded(t *testing.T) {
	q := newQueue()
	m := message{channel: "c", payload: make([]byte, 1<<20)}
	taken := 0
	for {
		ok, closed := q.add(m)
		if closed {
			t.Fatal("closed")
		}
		if !ok {
			break
		}
		taken++
	}
	if taken != queueBytes/m.size() {
		t.Errorf("%d were taken", taken)
	}
	if batch := q.take(batchBytes); len(batch) != 1 {
		t.Errorf("%d at once", len(batch))
	}
	if ok, _ := q.add(m); !ok {
		t.Error("there is no room again")
	}
	if batch := q.take(0); len(batch) != taken || q.bytes != 0 {
		t.Errorf("%d at once, %d bytes are left", len(batch), q.bytes)
	}
	q.refuse(true)
	if ok, _ := q.add(m); ok {
		t.Error("taken while Redis is away")
	}
	q.close()
	if ok, closed := q.add(m); ok || !closed || !q.isDrained() {
		t.Error("not closed")
	}
}
