package recovery

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/share"
)

// The defaults of [Options].
const (
	DefaultWindow     = 2 * time.Minute
	DefaultMaxBytes   = 64_000_000
	DefaultMaxPackets = 100_000
)

// Options say what is kept. The zero value keeps nothing.
type Options struct {
	// Window is how long a socket waits for its client. Zero turns recovery off.
	Window time.Duration
	// MaxBytes is how many bytes of memory may be taken by the packets that are kept and by the
	// sockets that wait, which may have half of it.
	MaxBytes int64
	// MaxPackets is how many packets may be kept. A packet counts as that part of MaxBytes at least.
	MaxPackets int
	// Lag is how long it may take until a server notices that a client has gone: what was sent in
	// that time is kept as well.
	Lag time.Duration
	// Outlives says that what is kept is to outlive the process: somebody takes images of it.
	Outlives bool
}

// Sizes in memory, in bytes.
const (
	// packetBytes is what a packet takes besides its message.
	packetBytes = 512
	// waitBytes is what a socket takes that waits, with what is left of its connection.
	waitBytes = 4096
	// leastShare is what a client may have while there is room, however many others have something.
	leastShare = 64 << 10
)

// Store bounds what is kept for the clients of a server. The zero value is off.
type Store struct {
	counts counts
	// changes counts what changes the sessions. Packets count by the places of the logs.
	changes atomic.Uint64

	// mu guards what follows, and the logs. It may be taken under any lock but that of a [Session].
	mu      sync.RWMutex
	options Options
	logs    []*Log
	// packets and bytes are what is kept now.
	packets, bytes int64
	// shares are of the packets that a client is the cause of, waits of the sockets that wait.
	shares share.Table[*Entry]
	waits  share.Table[*Wait]
	// sent slows down who has much sent to it again and again by coming back.
	sent share.Meter
	// waiting are the sockets that wait.
	waiting   map[*Wait]struct{}
	snapshots Snapshots
	// sweeping is true while a sweep is due.
	sweeping bool
}

// On reports whether anything is kept.
func (s *Store) On() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.options.Window > 0
}

// Outlives reports whether what is kept is to outlive the process.
func (s *Store) Outlives() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.options.Window > 0 && s.options.Outlives
}

// Window is how long a socket waits for its client, or zero where recovery is off.
func (s *Store) Window() time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.options.Window
}

// Version is another one after each change of what is kept.
func (s *Store) Version() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	version := s.changes.Load()
	for _, l := range s.logs {
		version += l.head.Load()
	}
	return version
}

// Use changes what is kept from now on. A socket that waits already goes on as long as it was to, unless
// recovery is turned off: then all of them end, and what was kept is gone. It returns how many have ended.
func (s *Store) Use(o Options) (ended int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options = o
	if s.sent.Rate == 0 {
		s.sent.Rate, s.sent.Burst, s.sent.Clients = returnRate, returnBurst, returnClients
	}
	s.shares.Bound, s.waits.Bound = o.MaxBytes, o.MaxBytes/2
	s.shares.Least, s.waits.Least = leastShare, leastShare
	if o.Window > 0 {
		s.makeRoomLocked()
		return 0
	}
	for _, l := range s.logs {
		l.clearLocked()
	}
	s.logs = nil
	return s.endWaitsLocked()
}

// Close ends all that waits, and lets nothing wait any more.
func (s *Store) Close() { s.Use(Options{}) }

// forgetAfter is how long a packet is kept.
func (s *Store) forgetAfter() time.Duration { return s.options.Window + s.options.Lag }

// unitLocked is what a packet counts at least.
func (s *Store) unitLocked() int64 {
	return s.options.MaxBytes / int64(max(s.options.MaxPackets, 1))
}

// enterLocked counts a packet, and lets others go for it: those of its cause where that has its share
// already, or else the oldest. It reports false if there is no room for it.
func (s *Store) enterLocked(e *Entry, bytes int64) bool {
	size := max(bytes+packetBytes, s.unitLocked())
	if size > s.options.MaxBytes {
		return false
	}
	if e.cause != nil {
		who := e.cause.who
		for {
			holding, over := s.shares.Take(who, size, e)
			if over == share.Within {
				e.holding = holding
				holding.Spare(true)
				break
			}
			first := s.shares.GivesWay(who, over)
			if first == nil {
				return false
			}
			first.Value.removeLocked()
		}
	}
	e.size = size
	s.bytes += size
	s.makeRoomLocked()
	return e.log != nil
}

// makeRoomLocked lets the oldest packets go until all that is kept fits.
func (s *Store) makeRoomLocked() {
	for s.bytes > s.options.MaxBytes-s.waits.Held() {
		oldest := s.oldestLocked()
		if oldest == nil {
			return
		}
		oldest.removeLocked()
	}
}

func (s *Store) oldestLocked() (oldest *Entry) {
	for _, l := range s.logs {
		if l.oldest != nil && (oldest == nil || l.oldest.at.Before(oldest.at)) {
			oldest = l.oldest
		}
	}
	return oldest
}

// sweepInterval is how far sweeps are apart, at least.
const sweepInterval = time.Second

// sweepInLocked has old packets let go in a while: one timer serves all.
func (s *Store) sweepInLocked() {
	if s.sweeping {
		return
	}
	s.sweeping = true
	time.AfterFunc(max(s.forgetAfter()/8, sweepInterval), s.sweep)
}

func (s *Store) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeping = false
	now := time.Now()
	for _, l := range s.logs {
		l.forgetOldLocked(now)
	}
	if s.packets > 0 {
		s.sweepInLocked()
	}
}

// Reason says why a client that came back was not recovered.
type Reason uint8

// The reasons.
const (
	// Recovered is none: the client has got all that it has missed.
	Recovered Reason = iota
	// UnknownPID is a client of whom nothing is known: its time was over, something else has ended
	// its socket, or it comes from another server.
	UnknownPID
	// ForgedPID is a client that does not know the secret of the socket that it names.
	ForgedPID
	// BadOffset is a client that names no place in the log that it can have come to.
	BadOffset
	// NotKept is a client that may have missed what is no longer kept.
	NotKept
	// TooMuch is a client that has missed more than may wait for it, or was sent too much of late because
	// it has come back again and again.
	TooMuch
	// OtherIdentity is a client that is somebody else now.
	OtherIdentity
	// LostRight is a client that may no longer be in a room that it was in.
	LostRight
	// Left is a client that was gone again before it was recovered.
	Left
	// AfterSnapshot is a client that has got something which a process has sent that has crashed, after
	// the last image of its log.
	AfterSnapshot
	reasons
)

// String is the word of metrics and logs.
func (r Reason) String() string {
	return [...]string{
		"recovered", "unknown_pid", "forged_pid", "bad_offset", "not_kept", "too_much", "other_identity", "lost_right", "left",
		"after_snapshot",
	}[r]
}

type counts [reasons]atomic.Int64

// Snapshots are how many snapshots there were of what is kept, and how many sockets were restored.
type Snapshots struct {
	// Stored, Failed and Refused are how many were stored, how many could not be, and how many were found
	// that could not be used.
	Stored, Failed, Refused int64
	// Bytes is how long the last one was that was stored.
	Bytes int64
	// Clean and Crashed are how many sockets were restored, after a process that has taken a last
	// snapshot, and after one that has not.
	Clean, Crashed int64
}

// Note changes what is counted of snapshots.
func (s *Store) Note(change func(*Snapshots)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.snapshots)
}

// Count counts a client that came back.
func (s *Store) Count(r Reason) { s.counts[r].Add(1) }

// Metrics tells of what is kept.
type Metrics struct {
	// On is true where recovery is.
	On bool
	// Waiting is how many sockets wait for their clients, Packets and Bytes how much is kept.
	Waiting, Packets, Bytes int64
	// Recovered is how many clients were recovered.
	Recovered int64
	// Failed is how many were not, for each [Reason].
	Failed []Failure
	// Snapshots are those of what is kept, where it is to outlive the process.
	Snapshots Snapshots
}

// Failure is how many clients were not recovered for one reason.
type Failure struct {
	Reason Reason
	Count  int64
}

// Metrics returns what the store has counted.
func (s *Store) Metrics() Metrics {
	m := Metrics{Recovered: s.counts[Recovered].Load()}
	for r := Recovered + 1; r < reasons; r++ {
		m.Failed = append(m.Failed, Failure{r, s.counts[r].Load()})
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	m.On, m.Snapshots = s.options.Window > 0, s.snapshots
	m.Waiting, m.Packets, m.Bytes = int64(len(s.waiting)), s.packets, s.bytes+s.waits.Held()
	return m
}
