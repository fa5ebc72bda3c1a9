package share

// HandTo writes a holding into the books of another client, whatever that has: one that goes on with
// what is its own, as another client than before, is over nothing. It cannot give way any more.
func (h *Holding[T]) HandTo(who Client) {
	table, size := h.table, h.size
	h.Release()
	h.table, h.who = table, who
	table.enter(h)
	table.held += size
	h.client.held += size
	h.address.held += size
	h.size = size
}
