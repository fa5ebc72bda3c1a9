package share

import "testing"

func TestHandedOver(t *testing.T) {
	table := &Table[int]{Bound: 100}
	greedy, next := client(1, 0), client(2, 0)
	first, _ := table.Take(greedy, 10, 1)
	first.Spare(true)
	if _, over := table.Take(next, 8, 2); over != Within {
		t.Fatalf("over %d", over)
	}
	first.HandTo(next)
	if table.Held() != 18 || first.Value != 1 || table.GivesWay(next, OverBound) != nil {
		t.Errorf("%d are held, %+v", table.Held(), first)
	}
	// It counts for the one who has it, who may not take more, and no longer for the other.
	if _, over := table.Take(next, 1, 3); over != OverClient {
		t.Errorf("over %d", over)
	}
	if _, over := table.Take(greedy, 8, 4); over != Within {
		t.Errorf("over %d", over)
	}
	first.Release()
	if table.Held() != 16 {
		t.Errorf("%d are held", table.Held())
	}
}
