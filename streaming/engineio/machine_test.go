package engineio

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The names of the parts, by their numbers.
var (
	eventNames = [events]string{
		"queued", "poll", "release", "answer", "answered", "told", "post", "posted", "upgrade", "accepted", "probed",
		"confirmed", "upgrade failed", "hold", "unhold", "write", "written", "write failed", "close", "farewell", "abort",
	}
	lifeNames    = []string{"open", "closing", "closed"}
	pollNames    = []string{"none", "waiting", "released", "answering", "next"}
	postNames    = []string{"none", "active"}
	upgradeNames = []string{"none", "accepting", "probing", "probed", "done"}
	writerNames  = []string{"none", "idle", "held", "due", "writing", "broken"}
)

// situation is a machine, and whether something is queued.
type situation struct {
	machine
	queued bool
}

// possible reports whether an event can come in a situation: the code that reports it
// runs only then. What clients do can come at any time.
func (at situation) possible(e event) bool {
	switch e {
	case evQueued:
		return at.life == lifeOpen
	case evAnswer:
		return at.poll == pollWaiting || at.poll == pollReleased
	case evAnswered:
		return at.poll != pollNone
	case evTold:
		return at.life != lifeOpen && at.answering() && !at.queued || at.life == lifeClosed && at.poll != pollNone
	case evPosted:
		return at.post == postActive
	case evAccepted:
		return at.upgrade == upgradeAccepting
	case evProbed:
		return at.upgrade == upgradeProbing || at.upgrade == upgradeProbed
	case evConfirmed:
		return at.upgrade == upgradeProbing || at.upgrade == upgradeProbed
	case evUpgradeFailed:
		return at.upgrading()
	case evHold:
		return at.life == lifeOpen && !at.queued
	case evUnhold:
		return at.writer != writerNone
	case evWrite:
		return at.writer == writerHeld || at.writer == writerDue
	case evWritten, evWriteFailed:
		return at.writer == writerWriting
	case evFarewell:
		return at.post == postActive
	}
	return true
}

// after returns the situation that follows an event.
func (at situation) after(e event) (next situation, do effect) {
	queued := at.queued || e == evQueued || e == evHold
	m := at.machine
	do, ok := m.on(e, queued)
	switch {
	case do&queueClose != 0:
		queued = true
	case do&dropQueue != 0, ok && (e == evWrite || e == evAnswer):
		queued = false
	}
	return situation{m, queued}, do
}

// reachable walks through all situations that there can be, from the two in which
// sessions begin, and calls visit for each event that is possible in them.
func reachable(visit func(at situation, e event, next situation, do effect)) (situations int) {
	begin := []situation{{queued: true}, {machine: machine{writer: writerIdle}}}
	seen := map[situation]bool{begin[0]: true, begin[1]: true}
	for len(begin) > 0 {
		at := begin[0]
		begin = begin[1:]
		for e := range events {
			if !at.possible(e) {
				continue
			}
			next, do := at.after(e)
			visit(at, e, next, do)
			if !seen[next] {
				seen[next] = true
				begin = append(begin, next)
			}
		}
	}
	return len(seen)
}

// TestMachineKeepsItsWord checks in every situation that a session can come into what
// must hold there.
func TestMachineKeepsItsWord(t *testing.T) {
	wrong := map[string]string{}
	n := reachable(func(at situation, e event, next situation, do effect) {
		rule := func(name string, holds bool) {
			if !holds && wrong[name] == "" {
				wrong[name] = fmt.Sprintf("%+v --%s--> %+v, effects %b", at, eventNames[e], next, do)
			}
		}
		rule("life goes one way", next.life >= at.life)
		rule("the listener hears of the end when the session leaves open, and then alone",
			(do&tellListener != 0) == (at.life == lifeOpen && next.life != lifeOpen))
		rule("the queue is empty once the session is closed", next.life != lifeClosed || !next.queued)
		rule("what is queued is dropped only with the session, or when the client has left",
			do&dropQueue == 0 || next.life == lifeClosed || e == evFarewell)
		rule("a session that is closed has ended its POST", next.life != lifeClosed || at.life == lifeClosed || at.post == postNone || do&stopPost != 0)
		rule("an attempt to upgrade ends with the session, or when it is accepted after that",
			next.life != lifeClosed || at.life == lifeClosed && e != evAccepted ||
				next.upgrade != upgradeProbing && next.upgrade != upgradeProbed || do&dropUpgrade != 0)
		rule("a GET that waits is woken when the session leaves open",
			at.life != lifeOpen || next.life == lifeOpen || next.poll != pollWaiting || do&wakePoll != 0)
		rule("nothing is written to a WebSocket while a GET is being answered",
			next.writer != writerDue && next.writer != writerWriting && next.writer != writerHeld || next.poll == pollNone)
		rule("what is queued for a WebSocket is written by somebody, or waits for a GET to end",
			!next.queued || next.writer != writerIdle || next.poll != pollNone)
		rule("a connection is closed once, when it is the session's", do&dropConn == 0 || next.writer != writerNone && next.life == lifeClosed && at.life != lifeClosed)
		rule("a session on long-polling is gone when it is closed", (do&gone != 0) == (next.life == lifeClosed && at.life != lifeClosed && next.writer == writerNone))
		rule("who is due is in the list of the flush workers", (do&flushSoon != 0) == (next.writer == writerDue && (at.writer != writerDue || e == evWritten)))
		rule("nothing is written after the connection has failed", at.writer != writerBroken || next.writer == writerBroken)
	})
	for name, where := range wrong {
		t.Errorf("%s: %s", name, where)
	}
	t.Logf("%d situations", n)
}

// TestMachineLogsTheEndOnce follows every way from the beginning to the end, as far as
// the logging of the end goes.
func TestMachineLogsTheEndOnce(t *testing.T) {
	type path struct {
		situation
		logged bool
	}
	next := map[path][]path{}
	reachable(func(at situation, e event, to situation, do effect) {
		for _, was := range []bool{false, true} {
			from := path{at, was}
			next[from] = append(next[from], path{to, was || do&logEnd != 0})
			if was && do&logEnd != 0 && at.life == lifeClosed {
				next[from] = append(next[from], path{situation{machine: machine{life: 99}}, true})
			}
		}
	})
	begin := []path{{situation{queued: true}, false}, {situation{machine: machine{writer: writerIdle}}, false}}
	seen := map[path]bool{}
	for len(begin) > 0 {
		at := begin[0]
		begin = begin[1:]
		if seen[at] {
			continue
		}
		seen[at] = true
		if at.life == 99 {
			t.Fatal("the end is logged twice")
		}
		quiet := at.writer != writerWriting && !at.answering()
		if at.life == lifeClosed && quiet && !at.logged {
			t.Fatalf("the end is not logged: %+v", at)
		}
		begin = append(begin, next[at]...)
	}
}

// TestMachineIsAsDocumented compares docs/architecture.md with the machine.
func TestMachineIsAsDocumented(t *testing.T) {
	parts := []struct {
		name  string
		names []string
		of    func(machine) int
	}{
		{"life", lifeNames, func(m machine) int { return int(m.life) }},
		{"poll", pollNames, func(m machine) int { return int(m.poll) }},
		{"post", postNames, func(m machine) int { return int(m.post) }},
		{"upgrade", upgradeNames, func(m machine) int { return int(m.upgrade) }},
		{"writer", writerNames, func(m machine) int { return int(m.writer) }},
	}
	type change struct{ part, event, from, to int }
	found := map[change]bool{}
	reachable(func(at situation, e event, next situation, _ effect) {
		for i, part := range parts {
			if from, to := part.of(at.machine), part.of(next.machine); from != to {
				found[change{i, int(e), from, to}] = true
			}
		}
	})
	var table strings.Builder
	table.WriteString("| event | life | poll | post | upgrade | writer |\n|---|---|---|---|---|---|\n")
	for e := range events {
		row := "| " + eventNames[e]
		for i, part := range parts {
			var cell []string
			for from := range part.names {
				var to []string
				for next := range part.names {
					if found[change{i, int(e), from, next}] {
						to = append(to, part.names[next])
					}
				}
				if len(to) > 0 {
					cell = append(cell, part.names[from]+" → "+strings.Join(to, " or "))
				}
			}
			row += " | " + strings.Join(cell, "; ")
		}
		table.WriteString(row + " |\n")
	}
	page, err := os.ReadFile("../../docs/architecture.md")
	must(t, err)
	if !strings.Contains(string(page), table.String()) {
		t.Errorf("docs/architecture.md does not have this table:\n%s", table.String())
	}
	if slices.Contains(eventNames[:], "") {
		t.Error("an event has no name")
	}
}
