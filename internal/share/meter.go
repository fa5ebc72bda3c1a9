package share

import (
	"net/netip"
	"sync"
	"time"
)

// Meter slows down what is sent to clients at their wish and costs them next to nothing to wish for.
// Each client, and each address, has a rate. Who is over it waits its turn: nobody is sent less, and
// who comes later never goes first.
type Meter struct {
	// Rate is how many bytes a client is sent in a second, and Burst how many more at once. A wish
	// of any size is granted at once to who is not over that.
	Rate, Burst int64
	// Clients is how many times as much an address is sent.
	Clients int64

	mu        sync.Mutex
	clients   dues[any]
	addresses dues[netip.Prefix]
}

// WaitOwn takes note of a wish for so many bytes, and returns how long it has to wait for what its
// client has wished for before. The wish counts for the client from now on, whether it is granted or
// not.
func (m *Meter) WaitOwn(who Client, size int64, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.beyondBurst(m.clients.add(who.ID, timeFor(size, m.Rate), now))
}

// WaitOthers returns how long a wish has to wait after that, for what others of its address are sent.
// It counts for the address from now on. Wishes that are given up while they wait for their own client
// are never asked about, so that nobody has others of its address wait for more than its own rate.
func (m *Meter) WaitOthers(who Client, size int64, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.beyondBurst(m.addresses.add(who.Address, timeFor(size, m.Rate*m.Clients), now))
}

// timeFor is how long so many bytes take at a rate.
func timeFor(bytes, rate int64) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}

// beyondBurst is what is left of a time when the burst is gone by. An address has as long a burst, at a
// higher rate.
func (m *Meter) beyondBurst(due time.Duration) time.Duration {
	burst := timeFor(m.Burst, m.Rate)
	return max(due, burst) - burst
}

// dues are the times at which what was wished for will have been paid, at the rate of each.
type dues[K comparable] struct {
	byKey map[K]time.Time
	// tidied is how many there were after the last look for those that are paid.
	tidied int
}

// leastTidy is how many dues are not worth a look.
const leastTidy = 1024

// add adds to what is due, and returns how long that had taken before.
func (d *dues[K]) add(key K, more time.Duration, now time.Time) time.Duration {
	if len(d.byKey) >= max(2*d.tidied, leastTidy) {
		for key, due := range d.byKey {
			if !due.After(now) {
				delete(d.byKey, key)
			}
		}
		d.tidied = len(d.byKey)
	}
	if d.byKey == nil {
		d.byKey = make(map[K]time.Time)
	}
	due := d.byKey[key]
	if due.Before(now) {
		due = now
	}
	d.byKey[key] = due.Add(more)
	return due.Sub(now)
}
