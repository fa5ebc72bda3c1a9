package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// hold is a path whose connections can be held.
type hold struct {
	path               string
	open               open
	polling, websocket bool
}

// outcome is how holding a connection ended.
type outcome struct {
	// cut is true when it ended before its time; after and silent are then how long it was held,
	// and how long nothing had come by then.
	cut           bool
	after, silent time.Duration
	// pings counts the heartbeats that came.
	pings int
	// orderly tells that the server took its leave, in place of being cut off.
	orderly bool
	answer  answer
}

// checkSilence holds a WebSocket and a pending poll on each path, all at the same time, and answers
// heartbeats only.
func (d *visit) checkSilence(ctx context.Context, holds []hold) {
	if d.Wait == 0 {
		d.skip("timeouts of a proxy in between: --wait 70s holds connections that long")
		return
	}
	var wg sync.WaitGroup
	sockets, polls := make([]outcome, len(holds)), make([]outcome, len(holds))
	for i, h := range holds {
		if h.websocket {
			wg.Go(func() { sockets[i] = d.holdSocket(ctx, h) })
		}
		if h.polling {
			wg.Go(func() { polls[i] = d.holdPoll(ctx, h) })
		}
	}
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	longest := time.Duration(0)
	for i, h := range holds {
		if h.websocket {
			d.tellHeld(place{"silence", h.path}, h, "websocket", "The WebSocket", sockets[i])
		}
		if h.polling {
			d.tellHeld(place{"silence", h.path}, h, "poll", "A pending poll", polls[i])
		}
		if h.websocket || h.polling {
			longest = max(longest, h.open.pingInterval())
		}
	}
	if longest > d.Wait {
		d.skip("silences over %s, which last up to %s here: --wait %s", seconds(d.Wait), seconds(longest), longest+5*time.Second)
	}
}

func (d *visit) tellHeld(at place, h hold, code, subject string, o outcome) {
	interval := h.open.pingInterval()
	values := []string{
		"seconds", strconv.Itoa(int((interval + 19*time.Second) / time.Second)),
		"interval", fmt.Sprintf("%ds", max(1, int(o.silent.Seconds()*2/3+0.5))),
	}
	switch {
	case !o.cut && o.pings == 1:
		d.tell(OK, at, code+"-held", fmt.Sprintf("%s lasted %s, with one ping.", subject, seconds(d.Wait)), nil)
	case !o.cut && o.pings > 1:
		d.tell(OK, at, code+"-held", fmt.Sprintf("%s lasted %s, with %d pings.", subject, seconds(d.Wait), o.pings), nil)
	case !o.cut:
		d.tell(OK, at, code+"-held", fmt.Sprintf("%s lasted %s.", subject, seconds(d.Wait)), nil)
	case o.orderly:
		d.tell(Problem, at, code+"-closed", fmt.Sprintf("%s was closed by the server after %s.", subject, seconds(o.after)), &o.answer, values...)
	case o.pings == 0 && o.silent > interval+d.late:
		d.tell(Problem, at, "no-ping", fmt.Sprintf("%s was cut after %s without the ping that was due after %s: the server does not send heartbeats, or something in between holds them back.", subject, seconds(o.silent), seconds(interval)), &o.answer, values...)
	default:
		d.tell(Problem, at, code+"-idle-cut", fmt.Sprintf("%s was cut after %s of silence: something in between has a timeout below the ping interval of %s.", subject, seconds(o.silent), seconds(interval)), &o.answer, values...)
	}
}

// holdSocket holds a WebSocket that is connected to the namespace.
func (d *visit) holdSocket(ctx context.Context, h hold) outcome {
	s, a := d.dial(ctx, h.path, "", nil, false)
	o := outcome{answer: a}
	if s == nil {
		o.cut = true
		return o
	}
	defer s.end()
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	began := time.Now()
	last := began
	end := began.Add(d.Wait)
	if err := s.write(d.connectPacket()); err != nil {
		return o.cutAt(began, last, err)
	}
	for {
		text, err := s.read(end)
		switch {
		case err != nil && isTimeout(err) && !time.Now().Before(end):
			return o
		case err != nil:
			return o.cutAt(began, last, err)
		case text == "1":
			return o.cutAt(began, last, errClosed)
		case text == "2":
			o.pings++
			if err := s.write("3"); err != nil {
				return o.cutAt(began, last, err)
			}
		}
		if open, ok := parseOpen(text); ok {
			d.secrets.add(open.SID)
		}
		last = time.Now()
	}
}

func (o outcome) cutAt(began, last time.Time, err error) outcome {
	now := time.Now()
	o.cut, o.after, o.silent, o.orderly = true, now.Sub(began), now.Sub(last), errors.Is(err, errClosed)
	return o
}

// holdPoll holds polls of a session that is connected to the namespace.
func (d *visit) holdPoll(ctx context.Context, h hold) outcome {
	s, a := d.handshake(ctx, h.path, nil)
	o := outcome{answer: a}
	if s == nil {
		o.cut = true
		return o
	}
	defer s.end()
	s.post(ctx, d.connectPacket())
	began := time.Now()
	end := began.Add(d.Wait)
	for {
		last := time.Now()
		left := end.Sub(last)
		if left <= 0 {
			return o
		}
		// The poll that is pending at the end is answered when the session is closed.
		pending := make(chan answer, 1)
		polling, cancel := context.WithCancel(ctx)
		go func() { pending <- s.poll(polling, left+farewellTimeout) }()
		timer := time.NewTimer(left)
		select {
		case a = <-pending:
			timer.Stop()
			cancel()
		case <-timer.C:
			s.end()
			cancel()
			<-pending
			return o
		case <-ctx.Done():
			timer.Stop()
			cancel()
			<-pending
			return o
		}
		o.answer = a
		if a.err != nil || a.status != http.StatusOK {
			return o.cutAt(began, last, a.err)
		}
		for _, packet := range a.packets() {
			switch {
			case packet == "2":
				o.pings++
				s.post(ctx, "3")
			case packet == "1":
				return o.cutAt(began, last, errClosed)
			case strings.HasPrefix(packet, "4"), packet == "6":
			}
		}
	}
}
