package engineio

import (
	"fmt"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// finish lets every client hear of the end of its session, as far as it can be reached, and holds
// that nothing is left of any of them.
func (pl *play) finish() error {
	pl.settle()
	if err := pl.rest(); err != nil {
		return err
	}
	for pl.isBusy() {
		pl.listen()
		time.Sleep(handlerPause)
		if err := pl.rest(); err != nil {
			return err
		}
	}
	for _, p := range pl.players {
		if p.session.Load() != nil {
			p.end(ReasonForcedClose)
		}
	}
	if err := pl.rest(); err != nil {
		return err
	}
	for range 4 {
		pl.listen()
		if err := pl.rest(); err != nil {
			return err
		}
	}
	for _, p := range pl.players {
		if p.model == nil || p.session.Load() == nil {
			continue
		}
		if err := p.model.Finish(pl.now()); err != nil {
			return p.explain(err)
		}
	}
	pl.cutAll()
	pl.server.Close(ReasonShutdown)
	time.Sleep(2 * closeGrace)
	synctest.Wait()
	return pl.leftovers()
}

// settle takes every obstacle away that the network and the clients have put up.
func (pl *play) settle() {
	if pl.held {
		pl.shutGate(false)
	}
	for _, p := range pl.players {
		p.unblock()
		for _, r := range p.posts {
			p.goOn(r, true)
		}
	}
}

func (pl *play) isBusy() bool {
	if pl.alive.Load() > 0 {
		return true
	}
	for _, p := range pl.players {
		if p.busy.Load() > 0 || p.model != nil && p.model.IsHeldBack(pl.now()) {
			return true
		}
	}
	return false
}

// listen makes every client do what tells it of the end.
func (pl *play) listen() {
	for _, p := range pl.players {
		switch {
		case p.model == nil || p.session.Load() == nil:
		case p.onSocket():
			if p.model.Told() {
				p.note(happening{kind: closes, socket: p.current})
				p.current.conn.push(frameOf(ws.OpClose, true, ""))
			}
		case p.model.IsReachable() && len(p.polls) == 0 && !p.moved():
			p.poll(false)
		}
	}
}

// cutAll ends all connections and requests.
func (pl *play) cutAll() {
	for _, p := range pl.players {
		for _, k := range p.sockets {
			k.conn.cut()
		}
		for _, r := range append(p.polls, p.posts...) {
			r.change(func() { r.gone, r.broken = true, errAbandoned })
			r.cancel()
		}
	}
}

// leftovers tells what is left when there should be nothing.
func (pl *play) leftovers() error {
	s := pl.server
	for _, p := range pl.players {
		if err := p.feed(); err != nil {
			return p.explain(err)
		}
		if p.session.Load() != nil && !p.model.HasEnded() {
			return p.explain(fmt.Errorf("the program has not heard of the end"))
		}
		for i, k := range p.sockets {
			if k.conn.taken && !k.conn.closed {
				return p.explain(fmt.Errorf("connection %d is not closed by the server", i))
			}
		}
	}
	if err := pl.counts(); err != nil {
		return err
	}
	for range s.table.all() {
		return fmt.Errorf("a session is in the table")
	}
	for i := range s.readers.shards {
		if s.readers.shards[i].working != nil {
			return fmt.Errorf("a reader counts as being at work")
		}
	}
	for i := range s.callers.shards {
		for _, entry := range s.callers.shards[i].entries {
			if entry.open != 0 || entry.halfOpen != 0 {
				return fmt.Errorf("an address counts as having %d sessions, %d half open", entry.open, entry.halfOpen)
			}
		}
	}
	return pl.checkLogs()
}

// counts holds that all counts are back at zero.
func (pl *play) counts() error {
	s := pl.server
	m := s.Metrics()
	var began, ended int64
	for _, t := range m.Transports {
		if open := t.open(); open != 0 {
			return fmt.Errorf("%d sessions count as open on %s", open, t.Transport)
		}
		began += t.handshakes()
	}
	for _, reason := range m.Disconnects {
		ended += reason.Count
	}
	for _, count := range []struct {
		what string
		n    int64
	}{
		{"sessions that count as open", s.open.Load()},
		{"sessions that count as alive", s.alive.Load()},
		{"bytes in the budget", s.budget.bytes()},
		{"sessions in the wheel", int64(s.wheel.count)},
		{"flush workers", int64(s.flusher.workers)},
		{"requests being served", pl.serving.Load()},
		{"sessions that began and are not counted as ended", began - ended},
	} {
		if count.n != 0 {
			return fmt.Errorf("at the end there are %d %s", count.n, count.what)
		}
	}
	if s.wheel.running {
		return fmt.Errorf("the wheel still turns")
	}
	return nil
}

// checkLogs holds that the end of each session was logged once.
func (pl *play) checkLogs() error {
	if !pl.logs.on {
		return nil
	}
	sessions := 0
	for _, p := range pl.players {
		session := p.session.Load()
		if session == nil {
			continue
		}
		sessions++
		if n := pl.logs.ends[session.LogID()]; n != 1 {
			return p.explain(fmt.Errorf("the end of the session is logged %d times", n))
		}
	}
	if len(pl.logs.ends) != sessions {
		return fmt.Errorf("%d ends are logged of %d sessions", len(pl.logs.ends), sessions)
	}
	return nil
}

// giveUp ends all that a program which has failed has left, so that its bubble can end.
func (pl *play) giveUp() {
	pl.settle()
	pl.cutAll()
	for session := range pl.server.table.all() {
		session.abort(ReasonShutdown)
	}
	pl.server.Close(ReasonShutdown)
	time.Sleep(time.Minute)
	pl.server.Close(ReasonShutdown)
	synctest.Wait()
}
