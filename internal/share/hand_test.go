package share

import "testing"

func TestHandedOver(t *testing.T) {
	table := &Table[int]{Bound: 100}
	greedy, next := client(1, 0), client(2, 0)
	first, _ := table.Take(greedy, 5, 1)
	first.Spare(true)
	if _, over := table.Take(next, 3, 2); over != Within {
		t.Fatalf("over %d", over)
	}
	first.HandTo(next)
	if table.Held() != 8 || first.Value != 1 || table.GivesWay(next, OverBound) != nil {
		t.Errorf("%d are held, %+v", table.Held(), first)
	}
	// It counts for the one who has it, who may take 10, and no longer for the other.
	if _, over := table.Take(next, 3, 3); over != OverClient {
		t.Errorf("over %d", over)
	}
	if _, over := table.Take(greedy, 8, 4); over != Within {
		t.Errorf("over %d", over)
	}
	// Who has no room for it is not charged.
	more, _ := table.Take(greedy, 1, 5)
	full, _ := table.Take(client(3, 0), 8, 6)
	more.HandTo(client(3, 0))
	full.Release()
	if table.Held() != 17 {
		t.Errorf("%d are held", table.Held())
	}
	if _, over := table.Take(client(3, 0), 8, 7); over != Within {
		t.Errorf("over %d", over)
	}
	more.Release()
	first.Release()
	if table.Held() != 19 {
		t.Errorf("%d are held", table.Held())
	}
}

// TestNobodyGetsPastAShareByHandingOver hands everything over to another client, again and again.
func TestNobodyGetsPastAShareByHandingOver(t *testing.T) {
	table := &Table[int]{Bound: 1000}
	giver, taker := client(1, 0), client(2, 0)
	var all []*Holding[int]
	for {
		h, over := table.Take(giver, 1, 0)
		if over != Within {
			break
		}
		all = append(all, h)
		h.HandTo(taker)
	}
	if len(all) > 200 || table.Held() != int64(len(all)) {
		t.Errorf("two clients have %d of %d, %d are held", len(all), table.Bound, table.Held())
	}
	for _, h := range all {
		h.Release()
	}
	if table.Held() != 0 || len(table.clients) != 0 || len(table.addresses) != 0 {
		t.Errorf("%d are held in the end, by %d clients", table.Held(), len(table.clients))
	}
}
