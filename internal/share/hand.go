package share

// HandTo writes a holding into the books of another client, if that may have as much more: one that
// goes on with what is its own, as another client than before. Otherwise the holding stays in the books
// of the one who has taken it, so that nobody gets past a share by passing things on. It cannot give
// way any more.
func (h *Holding[T]) HandTo(who Client) {
	table, size, before := h.table, h.size, h.who
	h.Release()
	h.table, h.who = table, who
	table.enter(h)
	if h.Resize(size) == Within {
		return
	}
	h.Release()
	h.table, h.who = table, before
	table.enter(h)
	h.grow(size)
}
