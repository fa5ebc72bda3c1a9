package engineio

// machine says where a session is in its life, in five parts that depend on each
// other: the session itself, the GET and the POST of long-polling, the upgrade, and
// the writing to a WebSocket. It is a value without locks, connections or time.
// [machine.on] is the only code that changes it. docs/architecture.md has the table
// of its transitions, and a test compares the two.
type machine struct {
	life    life
	poll    poll
	post    post
	upgrade upgradePhase
	writer  writer
}

// life is how far the session is from its end.
type life uint8

const (
	lifeOpen life = iota
	// lifeClosing accepts no messages in either direction. What is queued is on its
	// way to the client, and after it the news of the end.
	lifeClosing
	// lifeClosed is the end: nothing is queued any more.
	lifeClosed
)

// poll is the state of the GETs of long-polling.
type poll uint8

const (
	pollNone poll = iota
	// pollWaiting is a GET that is answered as soon as there is something to say.
	pollWaiting
	// pollReleased is a GET that is about to be answered, though there may be nothing
	// to say.
	pollReleased
	// pollAnswering is a GET whose answer is being written. The client may have all of
	// it, and send the next GET, before that has ended.
	pollAnswering
	// pollNext is pollAnswering with another GET that waits for its turn.
	pollNext
)

// post is the state of the POSTs of long-polling.
type post uint8

const (
	postNone post = iota
	// postActive is a POST whose body is being read or handled.
	postActive
)

// upgradePhase is the state of an upgrade from long-polling to WebSocket. See
// "Upgrade" in the Engine.IO protocol.
type upgradePhase uint8

const (
	upgradeNone upgradePhase = iota
	// upgradeAccepting is a request for a WebSocket that is being answered.
	upgradeAccepting
	// upgradeProbing is a WebSocket that has not been probed yet.
	upgradeProbing
	// upgradeProbed is a WebSocket whose probe has been answered: the client lets its
	// poll end and then confirms.
	upgradeProbed
	// upgradeDone is a session that has been moved to the WebSocket.
	upgradeDone
)

// writer is the state of the writing to a WebSocket.
type writer uint8

const (
	// writerNone is a session on long-polling.
	writerNone writer = iota
	// writerIdle has nothing to write, or waits for a poll to end.
	writerIdle
	// writerHeld has an answer, which the goroutine that reads writes when its work is
	// done, if nothing else is queued before.
	writerHeld
	// writerDue is in the list of the flush workers.
	writerDue
	// writerWriting is a goroutine that writes.
	writerWriting
	// writerBroken is a connection that nothing is written to any more.
	writerBroken
)

// event is something that has happened to a session.
type event uint8

const (
	// evQueued: a message was added to the queue.
	evQueued event = iota
	// evPoll: a GET has come.
	evPoll
	// evRelease: the GET that waits is to be answered now.
	evRelease
	// evAnswer: the answer to the GET is about to be written.
	evAnswer
	// evAnswered: the GET is over.
	evAnswered
	// evTold: the GET is over, and has told the client of the end of the session.
	evTold
	// evPost: a POST has come.
	evPost
	// evPosted: the POST is over.
	evPosted
	// evUpgrade: a request for a WebSocket has come.
	evUpgrade
	// evAccepted: the WebSocket is open.
	evAccepted
	// evProbed: the probe was answered.
	evProbed
	// evConfirmed: the client has confirmed the upgrade.
	evConfirmed
	// evUpgradeFailed: the attempt to upgrade is over.
	evUpgradeFailed
	// evHold: an answer was added to the queue, which was empty.
	evHold
	// evUnhold: an answer that may be held is to go out.
	evUnhold
	// evWrite: somebody is about to write what is queued.
	evWrite
	// evWritten: what was taken from the queue is written.
	evWritten
	// evWriteFailed: the connection has failed while it was written to.
	evWriteFailed
	// evClose: the session is to end after its queue, by the server, or by a close
	// frame of the client.
	evClose
	// evFarewell: a POST has brought the client's close packet.
	evFarewell
	// evAbort: the session is to end at once.
	evAbort

	events // how many there are
)

// effect is what an event makes necessary, as a set. [Session.step] sees to the
// first ones under the session's lock, and [Session.carryOut] to the others without
// it.
type effect uint16

const (
	// wakePoll wakes the GET that waits.
	wakePoll effect = 1 << iota
	// nextPoll lets the GET that waits for its turn go on.
	nextPoll
	// dropQueue empties the queue.
	dropQueue
	// queueClose queues a close frame.
	queueClose
	// stopPost makes reading the body of the POST fail.
	stopPost

	// flushSoon hands the session to the flush workers.
	flushSoon
	// tellListener tells the listener of the end, and counts it.
	tellListener
	// grace bounds how long a session on long-polling waits for the GET that tells
	// its client of the end.
	grace
	// forget removes the session from what requests and the wheel can find.
	forget
	// dropUpgrade closes the connection of the attempt to upgrade.
	dropUpgrade
	// dropConn closes the connection of the session.
	dropConn
	// gone counts the session as gone. That of one on WebSocket is gone with the
	// goroutine that reads from it.
	gone
	// awaitPeer waits for the client's close frame.
	awaitPeer
	// logEnd logs the end: all that was written has been counted.
	logEnd
)

// on makes of the machine what becomes of it with an event, and returns what must be
// done then. queued is true while something waits in the queue. ok is false when the
// event has no place in this state: what was asked for is then refused.
func (m *machine) on(e event, queued bool) (do effect, ok bool) {
	switch e {
	case evQueued:
		return m.ready(queued), true
	case evPoll, evRelease, evAnswer, evAnswered, evTold:
		return m.onPoll(e, queued)
	case evPost:
		if m.life == lifeClosed || m.writer != writerNone || m.post != postNone {
			return 0, false
		}
		m.post = postActive
	case evPosted:
		m.post = postNone
	case evUpgrade, evAccepted, evProbed, evConfirmed, evUpgradeFailed:
		return m.onUpgrade(e, queued)
	case evHold, evUnhold, evWrite, evWritten, evWriteFailed:
		return m.onWriter(e, queued)
	case evClose, evFarewell, evAbort:
		return m.onEnd(e)
	}
	return 0, true
}

// ready makes what is queued go out, unless somebody is at it.
func (m *machine) ready(queued bool) effect {
	switch {
	case m.poll == pollWaiting:
		return wakePoll
	case queued && (m.writer == writerIdle || m.writer == writerHeld) && m.poll == pollNone && m.life != lifeClosed:
		m.writer = writerDue
		return flushSoon
	}
	return 0
}

func (m *machine) onPoll(e event, queued bool) (do effect, ok bool) {
	switch e {
	case evPoll:
		switch {
		case m.life == lifeClosed || m.writer != writerNone:
			return 0, false
		case m.poll == pollNone:
			m.poll = pollWaiting
		case m.poll == pollAnswering:
			m.poll = pollNext
		default:
			return 0, false
		}
		return 0, true
	case evRelease:
		if m.poll != pollWaiting {
			return 0, false
		}
		m.poll = pollReleased
		return wakePoll, true
	case evAnswer:
		switch {
		case m.writer != writerNone:
			return 0, false
		case m.life == lifeClosed:
			// Nothing of the queue is in the answer.
			m.poll = pollReleased
		default:
			m.poll = pollAnswering
		}
		return 0, true
	}
	// The GET is over.
	if m.poll == pollNext {
		do |= nextPoll
	}
	if m.life == lifeClosed && m.answering() {
		do |= logEnd
	}
	m.poll = pollNone
	if e == evTold && m.life == lifeClosing && m.writer == writerNone {
		return do | m.end(), true
	}
	return do | m.ready(queued), true
}

func (m *machine) onUpgrade(e event, queued bool) (do effect, ok bool) {
	switch e {
	case evUpgrade:
		if m.life != lifeOpen || m.writer != writerNone || m.upgrade != upgradeNone {
			return 0, false
		}
		m.upgrade = upgradeAccepting
	case evAccepted:
		m.upgrade = upgradeProbing
		if m.life == lifeClosed {
			return dropUpgrade, true
		}
	case evProbed:
		m.upgrade = upgradeProbed
		return m.ready(false), true
	case evConfirmed:
		if m.life == lifeClosed {
			return 0, false
		}
		m.upgrade, m.writer = upgradeDone, writerIdle
		if m.life == lifeClosing {
			// The client has left long-polling behind before it could be told there.
			return forget | queueClose | m.ready(true), true
		}
		return m.ready(queued), true
	case evUpgradeFailed:
		m.upgrade = upgradeNone
	}
	return 0, true
}

func (m *machine) onWriter(e event, queued bool) (do effect, ok bool) {
	switch e {
	case evHold:
		if m.writer != writerIdle || m.poll != pollNone {
			return m.ready(queued), true
		}
		m.writer = writerHeld
	case evUnhold:
		if m.writer != writerHeld {
			return 0, false
		}
		return m.ready(queued), true
	case evWrite:
		if m.life == lifeClosed || !queued {
			m.writer = writerIdle
			return 0, false
		}
		m.writer = writerWriting
	case evWritten:
		switch {
		case m.life == lifeClosed:
			m.writer = writerBroken
			return logEnd, true
		case queued:
			m.writer = writerDue
			return flushSoon, true
		case m.life == lifeClosing:
			// The close frame was the last in the queue.
			m.life, m.writer = lifeClosed, writerBroken
			return awaitPeer | logEnd | m.endPost(), true
		}
		m.writer = writerIdle
	case evWriteFailed:
		m.writer = writerBroken
		if m.life == lifeClosed {
			return logEnd, true
		}
	}
	return 0, true
}

func (m *machine) onEnd(e event) (do effect, ok bool) {
	switch {
	case e == evAbort && m.life != lifeClosed:
		if m.life == lifeOpen {
			do = tellListener
		}
		return do | m.end(), true
	case m.life != lifeOpen || e == evAbort:
		return 0, false
	}
	m.life = lifeClosing
	switch {
	case e == evFarewell:
		return tellListener | dropQueue | m.ready(false), true
	case m.writer == writerNone:
		return tellListener | grace | m.ready(false), true
	}
	return tellListener | forget | queueClose | m.ready(true), true
}

// end ends the session.
func (m *machine) end() (do effect) {
	m.life = lifeClosed
	do = dropQueue | forget | m.ready(false) | m.endPost()
	if m.upgrade == upgradeProbing || m.upgrade == upgradeProbed {
		do |= dropUpgrade
	}
	if m.writer == writerNone {
		do |= gone
	} else {
		do |= dropConn
	}
	if m.writer != writerWriting && !m.answering() {
		// Otherwise whoever writes knows how much was written.
		do |= logEnd
	}
	return do
}

// endPost makes the POST of a session that is closed end.
func (m *machine) endPost() effect {
	if m.post == postNone {
		return 0
	}
	return stopPost
}

// answering reports whether the answer to a GET is being written.
func (m *machine) answering() bool { return m.poll == pollAnswering || m.poll == pollNext }

// polls reports whether there is a GET, waiting or being answered.
func (m *machine) polls() bool { return m.poll != pollNone }

// upgrading reports whether an attempt to upgrade is under way.
func (m *machine) upgrading() bool { return m.upgrade != upgradeNone && m.upgrade != upgradeDone }

// transport is what the session is on.
func (m *machine) transport() Transport {
	if m.writer == writerNone {
		return Polling
	}
	return WebSocket
}
