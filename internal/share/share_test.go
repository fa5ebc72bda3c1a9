package share

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// take takes one at a time until that is over something, and returns how much it was.
func take(t *Table[int], who Client) (count int64, over Over) {
	for {
		if _, over := t.Take(who, 1, 0); over != Within {
			return count, over
		}
		count++
	}
}

func client(address, id int) Client {
	from := netip.AddrFrom4([4]byte{192, 0, byte(address / 256), byte(address)})
	return Client{ID: fmt.Sprint(address, " ", id), Address: netip.PrefixFrom(from, 32)}
}

func TestOneClientHasATenthAndOneAddressAHalf(t *testing.T) {
	for _, bound := range []int64{1, 2, 3, 9, 10, 11, 20, 99, 100, 1000, 10_000} {
		table := &Table[int]{Bound: bound, Least: 4}
		if got, over := take(table, client(1, 0)); got != max(bound/10, 1) || over != OverClient {
			t.Errorf("of %d one client has %d, over %d", bound, got, over)
		}
		for id := range int(bound) {
			take(table, client(1, id))
		}
		if got := table.Held(); got != (bound+1)/2 {
			t.Errorf("of %d one address has %d", bound, got)
		}
	}
}

// However many clients of one address take all they can, others have room: of another address as of
// the same one.
func TestGreedyClientsLeaveRoom(t *testing.T) {
	for _, greedy := range []int{1, 5, 10, 100, 500} {
		table := &Table[int]{Bound: 10_000, Least: 4}
		for id := range greedy {
			take(table, client(1, id))
		}
		for id := range 10 {
			for range 4 {
				if _, over := table.Take(client(1, 10_000+id), 1, 0); over != Within {
					t.Fatalf("beside %d of the same address: over %d", greedy, over)
				}
			}
			for range 50 {
				if _, over := table.Take(client(2, id), 1, 0); over != Within {
					t.Fatalf("beside %d of another address: over %d", greedy, over)
				}
			}
		}
	}
}

// Many addresses that take all they can leave room for one more.
func TestGreedyAddressesLeaveRoom(t *testing.T) {
	table := &Table[int]{Bound: 10_000, Least: 4}
	for address := range 10 {
		for id := range 20 {
			take(table, client(address, id))
		}
	}
	if got, _ := take(table, client(10, 0)); got < 4 {
		t.Errorf("one more address has %d", got)
	}
}

// An address has more than it could take now, since others have come after it. Where its clients that
// have much hold that, those that have little find room nevertheless, and so do other addresses.
func TestThoseWhoHaveLittleFindRoomWhenTheShareHasShrunk(t *testing.T) {
	table := &Table[int]{Bound: 10_000, Least: 4}
	if got, _ := take(table, client(0, 0)); got != 1000 {
		t.Fatalf("one client has %d", got)
	}
	for address := range 8001 {
		if _, over := table.Take(client(1+address, 0), 1, 0); over != Within {
			t.Fatalf("address %d: over %d", address, over)
		}
	}
	for id := range 10 {
		if got, over := take(table, client(0, 1+id)); got != 4 || over != OverClient {
			t.Errorf("one more client of the address has %d, over %d", got, over)
		}
	}
	// Those who have much get no more, and very many who have little leave some to others.
	if got, over := take(table, client(0, 0)); got != 0 || over != OverClient {
		t.Errorf("who has much has %d more, over %d", got, over)
	}
	for id := range 1000 {
		take(table, client(0, 100+id))
	}
	if got := table.Bound - table.Held(); got < 600 {
		t.Errorf("one address has left %d", got)
	}
	for address := range 10 {
		if got, _ := take(table, client(9000+address, 0)); got < 4 {
			t.Errorf("another address has %d", got)
		}
	}
}

// However many addresses take all they can, and in whatever order their clients do, there is room for
// one more, and no address has more than half of the table.
func TestNoOrderOfTakingFillsTheTable(t *testing.T) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 1))
		table := &Table[int]{Bound: 10_000, Least: 4}
		for range 500 {
			who := client(random.IntN(6), random.IntN(400))
			for range 1 + random.IntN(500) {
				if _, over := table.Take(who, 1, 0); over != Within {
					break
				}
			}
		}
		for _, a := range table.addresses {
			if a.held > table.Bound/2 {
				t.Errorf("seed %d: an address has %d", seed, a.held)
			}
		}
		if got, over := take(table, client(7, 0)); got < 4 {
			t.Errorf("seed %d: one more address has %d, over %d", seed, got, over)
		}
	}
}

func TestClientsOfOneIdentityAreOne(t *testing.T) {
	table := &Table[int]{Bound: 1000, Least: 4}
	ada := func(address int) Client { return Client{ID: "ada", Address: client(address, 0).Address} }
	var all int64
	for address := range 20 {
		got, _ := take(table, ada(address))
		all += got
	}
	if all != 100 {
		t.Errorf("one identity has %d at twenty addresses", all)
	}
}

func TestOnesOwnGivesWayFirst(t *testing.T) {
	table := &Table[int]{Bound: 100, Least: 4}
	must := func(who Client, value int) *Holding[int] {
		t.Helper()
		h, over := table.Take(who, 1, value)
		if over != Within {
			t.Fatalf("over %d", over)
		}
		return h
	}
	other := must(client(1, 1), -1)
	other.Spare(true)
	greedy := client(1, 0)
	var held []*Holding[int]
	for i := range 5 {
		h := must(greedy, i)
		h.Spare(true)
		held = append(held, h)
	}
	_, over := table.Take(greedy, 1, 0)
	if over != OverClient {
		t.Fatalf("over %d", over)
	}
	for i := range 5 {
		if h := table.GivesWay(greedy, over); h != held[i] {
			t.Fatalf("%d: another one gives way", i)
		}
		held[i].Release()
		held[i].Release()
	}
	if h := table.GivesWay(greedy, OverClient); h != nil {
		t.Error("another's gives way to what is over the client's share")
	}
	if table.GivesWay(greedy, OverAddress) != other || table.GivesWay(client(2, 0), OverBound) != other {
		t.Error("what is spare does not give way to others")
	}
	other.Keep()
	if table.GivesWay(greedy, OverBound) != nil {
		t.Error("what is kept gives way")
	}
	other.Spare(false)
	if table.GivesWay(greedy, OverBound) != nil || table.GivesWay(client(1, 1), OverClient) != other {
		t.Error("what may give way to its own client alone")
	}
}

func TestTheFirstToGoIsTheFirst(t *testing.T) {
	table := &Table[int]{Bound: 1000, Least: 4}
	var held [3]*Holding[int]
	for i := range held {
		held[i], _ = table.Take(client(1, 0), 1, i)
		held[i].Spare(true)
	}
	held[2].First()
	for i, over := range []Over{OverClient, OverAddress, OverBound} {
		if got := table.GivesWay(client(1, 0), over); got != held[2] {
			t.Errorf("%d: %d gives way", i, got.Value)
		}
	}
}

// Whatever is taken, resized and given back, the books agree, and in the end nothing is left.
func TestBooksAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	table := &Table[int]{Bound: 1000, Least: 4}
	var held []*Holding[int]
	for range 20_000 {
		switch i := random.IntN(max(len(held), 1)); {
		case len(held) == 0 || random.IntN(3) > 0:
			if h, over := table.Take(client(random.IntN(3), random.IntN(5)), random.Int64N(40), 0); over == Within {
				held = append(held, h)
			} else if h := table.GivesWay(client(0, 0), over); h != nil && h.own == nil {
				t.Fatal("what is kept gives way")
			}
		case random.IntN(2) == 0:
			_ = held[i].Resize(random.Int64N(60))
			held[i].Spare(random.IntN(2) == 0)
		default:
			held[i].Release()
			held[i] = held[len(held)-1]
			held = held[:len(held)-1]
		}
		var sum int64
		for _, h := range held {
			sum += h.size
		}
		if sum != table.Held() || sum > table.Bound {
			t.Fatalf("%d are held, the table says %d", sum, table.Held())
		}
		little := make(map[*address]int64)
		for _, h := range held {
			little[h.address] += h.little
		}
		for a, sum := range little {
			if a.little != sum || sum > a.held {
				t.Fatalf("%d of %d were taken by clients that had little, the address says %d", sum, a.held, a.little)
			}
		}
	}
	for _, h := range held {
		h.Release()
	}
	if table.Held() != 0 || len(table.clients) != 0 || len(table.addresses) != 0 || table.spare.Len() != 0 {
		t.Errorf("%d, %d clients, %d addresses and %d spare are left",
			table.Held(), len(table.clients), len(table.addresses), table.spare.Len())
	}
}
