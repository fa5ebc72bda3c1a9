package share

import (
	"testing"
	"time"
)

// wait is how long a wish waits in all, whose client does not give up.
func (m *Meter) wait(who Client, size int64, now time.Time) time.Duration {
	own := m.WaitOwn(who, size, now)
	return own + m.WaitOthers(who, size, now.Add(own))
}

func TestMeter(t *testing.T) {
	now := time.Now()
	m := &Meter{Rate: 1000, Burst: 5000, Clients: 4}
	ann, bob := client(1, 0), client(1, 1)
	expect := func(who Client, size int64, want time.Duration) {
		t.Helper()
		if got := m.wait(who, size, now); got.Round(time.Millisecond) != want {
			t.Errorf("waits %s, want %s", got, want)
		}
	}
	// The burst, and one more: then it is a second for each thousand.
	expect(ann, 5000, 0)
	expect(ann, 1000, 0)
	expect(ann, 1000, time.Second)
	expect(ann, 1, 2*time.Second)
	expect(bob, 1000, 0)
	now = now.Add(7 * time.Second)
	expect(ann, 1, 0)
	// Something large is granted at once, and paid for later.
	now = now.Add(time.Hour)
	expect(ann, 50_000, 0)
	if got := m.WaitOwn(ann, 1, now); got.Round(time.Millisecond) != 45*time.Second {
		t.Errorf("waits %s", got)
	}
	// The address has four times as much, whoever it is that wishes: ann has used 12.5 s of it.
	expect(bob, 0, 7500*time.Millisecond)
	expect(client(2, 0), 1, 0)
}

// A hundred clients of one address, each of which wishes until it has to wait, are sent what the address
// may be sent.
func TestMeterOfAnAddress(t *testing.T) {
	now := time.Now()
	m := &Meter{Rate: 1000, Burst: 5000, Clients: 4}
	sent := 0
	for id := range 100 {
		for m.wait(client(1, id), 1000, now) == 0 {
			sent++
		}
	}
	if sent != 18 {
		t.Errorf("%d are granted at once, want 18", sent)
	}
	if wait := m.wait(client(2, 0), 1000, now); wait != 0 {
		t.Errorf("another address waits %s", wait)
	}
}

// What is paid is forgotten.
func TestMeterForgets(t *testing.T) {
	now := time.Now()
	m := &Meter{Rate: 1000, Burst: 5000, Clients: 4}
	for id := range 100_000 {
		m.wait(client(id%50_000, id), 1000, now)
		now = now.Add(10 * time.Millisecond)
	}
	if len(m.clients.byKey) > 2*leastTidy || len(m.addresses.byKey) > 2*leastTidy {
		t.Errorf("%d clients and %d addresses are kept", len(m.clients.byKey), len(m.addresses.byKey))
	}
}

// TestWishesThatAreGivenUpHoldNobodyElseUp has a client wish without end and give up at once.
func TestWishesThatAreGivenUpHoldNobodyElseUp(t *testing.T) {
	now := time.Now()
	m := &Meter{Rate: 1000, Burst: 5000, Clients: 4}
	hostile, honest := client(1, 0), client(1, 1)
	for range 10_000 {
		if m.WaitOwn(hostile, 1000, now) == 0 {
			m.WaitOthers(hostile, 1000, now)
		}
	}
	if wait := m.wait(honest, 1000, now); wait != 0 {
		t.Errorf("another client of the address waits %s", wait)
	}
}
