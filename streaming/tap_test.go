package streaming

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// tap begins to watch the server for as long as the test lasts.
func (s *testServer) tap(options TapOptions) *Tap {
	s.t.Helper()
	tap, err := s.Tap(options)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(tap.Close)
	return tap
}

// next takes the next event.
func (t *Tap) next(tb testing.TB) Traffic {
	tb.Helper()
	e := receive(tb, "an event to be seen", t.Events())
	t.Taken(e)
	return e
}

func TestTapSeesWhatGoesInAndOut(t *testing.T) {
	s := newTestServer(t, Options{}, relayTo("chat"), on("ask", func(e *Event) {
		_ = e.Socket.EmitArgs("answer", mustArgs("you"))
	}))
	tap := s.tap(TapOptions{})
	sender, id := s.connected(engineio.WebSocket)
	other, otherID := s.connected(engineio.WebSocket)

	began := time.Now()
	sender.send(`2["chat",{"a":1},2]`)
	in, out := tap.next(t), tap.next(t)
	if in.Out || in.Event != "chat" || in.Namespace != "/" || in.Socket != id || in.Bytes != len(`{"a":1},2`) || in.Broadcast || in.HasArgs {
		t.Errorf("on its way in: %+v", in)
	}
	if !out.Out || out.Event != "chat" || !out.Broadcast || out.Socket != id || out.Bytes != in.Bytes || len(out.Rooms) != 0 {
		t.Errorf("on its way out: %+v", out)
	}
	if in.Time.Before(began) || out.Time.Before(in.Time) || time.Since(in.Time) > patience {
		t.Errorf("times: %v, %v", in.Time, out.Time)
	}
	other.expect(`2["chat",{"a":1},2]`)

	sender.send(`2["ask"]`)
	in, out = tap.next(t), tap.next(t)
	if in.Event != "ask" || in.Bytes != 0 {
		t.Errorf("on its way in: %+v", in)
	}
	if !out.Out || out.Event != "answer" || out.Broadcast || out.Socket != id || out.Bytes != len(`"you"`) {
		t.Errorf("on its way out: %+v", out)
	}

	if err := s.Of("/").To("a", otherID).Except("b").EmitArgs("news", packet.Args{}); err != nil {
		t.Fatal(err)
	}
	out = tap.next(t)
	if !out.Broadcast || out.Socket != "" || strings.Join(out.Rooms, " ") != "a "+otherID || strings.Join(out.Except, " ") != "b" {
		t.Errorf("a broadcast to rooms: %+v", out)
	}

	// A call is an event too, to one and to many.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = s.Of("/").Find(id).Call(ctx, "call", packet.Args{})
	_, _ = s.Of("/").Everyone().Call(ctx, "calls", packet.Args{})
	if one, many := tap.next(t), tap.next(t); one.Event != "call" || one.Socket != id || many.Event != "calls" || !many.Broadcast {
		t.Errorf("calls: %+v, %+v", one, many)
	}
	// An event that nobody handles shows as well: that is how one finds out.
	sender.send(`2["mistyped"]`)
	if e := tap.next(t); e.Event != "mistyped" {
		t.Errorf("an unknown event: %+v", e)
	}
	if lost := tap.Lost(); lost != 0 {
		t.Errorf("%d lost", lost)
	}
}

func TestTapFilters(t *testing.T) {
	s := newTestServer(t, Options{}, relayTo("chat"), relayTo("other"))
	if err := s.Of("/b").Use(relayTo("chat")); err != nil {
		t.Fatal(err)
	}
	client, id := s.connected(engineio.WebSocket)
	client.connect("/b")
	event, namespace := s.tap(TapOptions{Event: "other"}), s.tap(TapOptions{Namespace: "/b"})
	socket, nobody := s.tap(TapOptions{Socket: id}), s.tap(TapOptions{Socket: "nobody"})
	all, incoming := s.tap(TapOptions{}), s.tap(TapOptions{Incoming: true})

	client.send(`2["chat"]`)
	client.send(`2["other"]`)
	client.send(`2/b,["chat"]`)
	for range 6 {
		all.next(t)
	}
	if a, b := event.next(t), event.next(t); a.Event != "other" || a.Out || b.Event != "other" || !b.Out {
		t.Errorf("by event: %+v, %+v", a, b)
	}
	for _, want := range []string{"chat", "other", "chat"} {
		if e := incoming.next(t); e.Event != want || e.Out {
			t.Errorf("incoming: %+v, want %s", e, want)
		}
	}
	if e := namespace.next(t); e.Namespace != "/b" {
		t.Errorf("by namespace: %+v", e)
	}
	if e := socket.next(t); e.Socket != id {
		t.Errorf("by socket: %+v", e)
	}
	if len(nobody.Events()) != 0 || len(event.Events()) != 0 {
		t.Errorf("%d and %d events too many", len(nobody.Events()), len(event.Events()))
	}
}

func TestTapShowsArgumentsWhenAsked(t *testing.T) {
	s := newTestServer(t, Options{}, relayTo("chat"))
	client, _ := s.connected(engineio.WebSocket)
	tap := s.tap(TapOptions{Args: true})
	client.send(`51-["chat",{"_placeholder":true,"num":0},"x"]`, []byte{1, 2, 3})
	e := tap.next(t)
	if !e.HasArgs || string(e.Args.AppendJSON(nil)) != `[{"_placeholder":true,"num":0},"x"]` || string(e.Args.Attachments()[0]) != "\x01\x02\x03" {
		t.Errorf("with a binary argument: %+v", e)
	}
	tap.next(t)
	client.send(`2["chat","` + strings.Repeat("x", maxTapArgs) + `"]`)
	if e := tap.next(t); e.HasArgs || e.Bytes != maxTapArgs+2 {
		t.Errorf("with a large argument: %d bytes, shown %t", e.Bytes, e.HasArgs)
	}
}

// TestSlowTapLosesAndKnows holds that one who does not take what it sees loses
// it, and that nobody waits for it.
func TestSlowTapLosesAndKnows(t *testing.T) {
	s := newTestServer(t, Options{})
	slow, quick := s.tap(TapOptions{}), s.tap(TapOptions{})
	for range tapQueue + 10 {
		if err := s.Of("/").EmitArgs("tick", packet.Args{}); err != nil {
			t.Fatal(err)
		}
		quick.next(t)
	}
	slow.next(t)
	_ = s.Of("/").EmitArgs("next", packet.Args{})
	_ = s.Of("/").EmitArgs("lost", packet.Args{})
	for range tapQueue - 1 {
		if e := slow.next(t); e.Lost != 0 || e.Event != "tick" {
			t.Fatalf("before anything was lost: %+v", e)
		}
	}
	if e := slow.next(t); e.Lost != 10 || e.Event != "next" {
		t.Errorf("after 10 were lost: %+v", e)
	}
	if lost := slow.Lost(); lost != 1 {
		t.Errorf("%d lost at last, want 1", lost)
	}
	if lost := slow.Lost() + quick.Lost(); lost != 0 {
		t.Errorf("%d lost, want 0", lost)
	}
}

// TestTapHoldsNoMoreThanItMay holds that neither arguments nor names that wait
// for somebody who watches fill the memory.
func TestTapHoldsNoMoreThanItMay(t *testing.T) {
	s := newTestServer(t, Options{})
	tap := s.tap(TapOptions{Args: true})
	args := mustArgs(strings.Repeat("x", maxTapArgs-2))
	const fit = maxTapBytes / maxTapArgs
	for range fit + 3 {
		_ = s.Of("/").EmitArgs("large", args)
	}
	if lost := tap.Lost(); lost != 3 {
		t.Errorf("%d lost, want 3", lost)
	}
	for range fit {
		tap.next(t)
	}
	if waiting := tap.waiting.Load(); waiting != 0 {
		t.Errorf("%d bytes are counted with nothing waiting", waiting)
	}
	_ = s.Of("/").EmitArgs(strings.Repeat("é", 1000), packet.Args{})
	if e := tap.next(t); len(e.Event) > maxTapName+len(shortenedTapName) || !strings.HasPrefix(e.Event, "éé") || !strings.HasSuffix(e.Event, shortenedTapName) {
		t.Errorf("a long name shows as %d bytes", len(e.Event))
	}
}

func TestTapsAreBounded(t *testing.T) {
	s := newTestServer(t, Options{})
	var last *Tap
	for range maxTaps {
		last = s.tap(TapOptions{})
	}
	if _, err := s.Tap(TapOptions{}); !errors.Is(err, ErrTooManyTaps) {
		t.Errorf("one too many: %v", err)
	}
	last.Close()
	last.Close() // only the first one counts
	receive(t, "the tap to be closed", last.Done())
	open := s.tap(TapOptions{})
	s.Close()
	receive(t, "the tap to end with the server", open.Done())
	open.Close()
	if _, err := s.Tap(TapOptions{}); !errors.Is(err, ErrServerClosed) {
		t.Errorf("on a closed server: %v", err)
	}
}

// TestTapsOfOneLeaveRoom holds that whoever watches by as many taps as there may be of one leaves as
// many for others.
func TestTapsOfOneLeaveRoom(t *testing.T) {
	s := newTestServer(t, Options{})
	var last *Tap
	for range maxTapsOfOne {
		last = s.tap(TapOptions{By: "192.0.2.1"})
	}
	if _, err := s.Tap(TapOptions{By: "192.0.2.1"}); !errors.Is(err, ErrTapsOfOne) {
		t.Errorf("one too many: %v", err)
	}
	for range maxTaps - maxTapsOfOne {
		s.tap(TapOptions{By: "192.0.2.2"})
	}
	last.Close()
	s.tap(TapOptions{By: "192.0.2.1"})
}

// BenchmarkEmitWithoutTap shows what it costs that somebody could watch.
func BenchmarkEmitWithoutTap(b *testing.B) {
	s := New(Options{}, nil)
	defer s.Close()
	n := s.Of("/")
	b.ReportAllocs()
	for b.Loop() {
		_ = n.EmitArgs("tick", packet.Args{})
	}
}
