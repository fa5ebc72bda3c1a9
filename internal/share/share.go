// Package share divides what is bounded for all among clients and addresses, so that one of them
// never takes what the others need.
//
// An address may have as much as is still free, which is half of a table for one that is alone. A
// client may have a fifth of that, divided by how many clients of the address have something: a tenth
// of the table for one that is alone. One half of what an address may have is for clients that have
// little, so that they find room beside those who take all they can. What an address may have shrinks
// when others come, and nothing is taken from it then: where its clients that have much hold all of
// it, those that have little may still have a third of what everybody else has left.
package share

import (
	"container/list"
	"net/netip"
)

// Client is who takes something.
type Client struct {
	// ID tells clients apart: a comparable value, such as a client's identity, or else the name
	// of its connection.
	ID any
	// Address is where it comes from: an IPv4 address, or the first 64 bits of an IPv6 address.
	// The zero value stands for all that are not known.
	Address netip.Prefix
}

// Over says what a client's wish is over.
type Over uint8

const (
	// Within is a wish that is over nothing.
	Within Over = iota
	// OverClient is a wish over the client's share.
	OverClient
	// OverAddress is a wish over the share of the client's address.
	OverAddress
	// OverBound is a wish for which the table has no room.
	OverBound
)

const (
	// clientPart is which part of a table a client may have at most, and addressPart which part
	// of what its address may have where it is the only client there.
	clientPart  = 10
	addressPart = 5
	// littlePart is which part of what everybody else has left is for the clients of an address
	// that have little. It is what they have in an address that has its whole share, one half of
	// that for those who have much.
	littlePart = 3
)

// Table is something bounded, and who has what of it. Its unit is up to the caller, such as bytes, or
// one for each entry. The caller guards it by a lock. The zero value has no room.
type Table[T any] struct {
	// Bound is how much there is for all. It may be changed at any time.
	Bound int64
	// Least is how much counts as little. No more than a tenth of Bound, but at least 1, is taken
	// of it.
	Least int64

	held      int64
	clients   map[any]*account
	addresses map[netip.Prefix]*address
	// spare has what may give way to anybody, the first to go in front.
	spare list.List
}

// account is what a client, or an address, has of a table.
type account struct {
	held int64
	// holdings is how many holdings there are.
	holdings int
	// spare has those that may give way, the first to go in front: to the client itself, or to
	// others of the address.
	spare list.List
}

// address is the account of an address.
type address struct {
	account
	// little is how much of what it has was taken by clients that had no more than Least by then.
	little int64
	// clients are those that have something, each with how many holdings.
	clients map[any]int
}

// Holding is what a client has taken at one time.
type Holding[T any] struct {
	// Value is what it is for.
	Value T

	table   *Table[T]
	who     Client
	client  *account
	address *address
	size    int64
	// little is its part of that of the address.
	little int64
	// own, near and far are its places among what may give way: to its client, to its address,
	// to all.
	own, near, far *list.Element
}

// Held is how much is taken.
func (t *Table[T]) Held() int64 { return t.held }

// Take takes so much for a client, or says what that would be over.
func (t *Table[T]) Take(who Client, size int64, value T) (*Holding[T], Over) {
	h := &Holding[T]{Value: value, table: t, who: who}
	t.enter(h)
	if over := h.Resize(size); over != Within {
		h.Release()
		return nil, over
	}
	return h, Within
}

// enter writes a holding of nothing into the books.
func (t *Table[T]) enter(h *Holding[T]) {
	if t.clients == nil {
		t.clients, t.addresses = make(map[any]*account), make(map[netip.Prefix]*address)
	}
	if h.client = t.clients[h.who.ID]; h.client == nil {
		h.client = new(account)
		t.clients[h.who.ID] = h.client
	}
	if h.address = t.addresses[h.who.Address]; h.address == nil {
		h.address = &address{clients: make(map[any]int)}
		t.addresses[h.who.Address] = h.address
	}
	h.client.holdings++
	h.address.holdings++
	h.address.clients[h.who.ID]++
}

// Resize changes how much a holding is, or says what that would be over. Nothing is changed then.
// To become smaller is never over anything.
func (h *Holding[T]) Resize(size int64) Over {
	more := size - h.size
	if more > 0 {
		if over := h.table.over(h.client, h.address, more); over != Within {
			return over
		}
	}
	h.grow(more)
	return Within
}

// grow writes into the books that a holding is so much more, or less.
func (h *Holding[T]) grow(more int64) {
	h.table.held += more
	h.client.held += more
	h.address.held += more
	h.size += more
	little := min(h.little, h.size)
	if more > 0 && h.client.held <= h.table.least() {
		little += more
	}
	h.address.little += little - h.little
	h.little = little
}

// most is how much one client may have, and least how much counts as little.
func (t *Table[T]) most() int64  { return max(t.Bound/clientPart, 1) }
func (t *Table[T]) least() int64 { return min(max(t.Least, 1), t.most()) }

// over says what it would be over if a client had so much more. What is over the client's share is
// said first: others need not give way to that.
func (t *Table[T]) over(c *account, a *address, more int64) Over {
	client, address, all := c.held+more, a.held+more, t.held+more
	least := t.least()
	// Half of what others have left, rounded up.
	share := max((t.Bound-(all-address)+1)/2, least)
	fair := share / addressPart / int64(len(a.clients))
	switch {
	case client > min(t.most(), max(least, fair)), client > least && address > (share+1)/2:
		return OverClient
	// From here on the client has little. Where others of the address have much, and its share has
	// shrunk since, that is not held against it.
	case address > share && littlePart*(a.little+more) > t.Bound-(t.held-a.little):
		return OverAddress
	case all > t.Bound:
		return OverBound
	}
	return Within
}

// Release gives back what was taken. A second call does nothing.
func (h *Holding[T]) Release() {
	t := h.table
	if t == nil {
		return
	}
	h.Keep()
	_ = h.Resize(0)
	if h.client.holdings--; h.client.holdings == 0 {
		delete(t.clients, h.who.ID)
	}
	if h.address.clients[h.who.ID]--; h.address.clients[h.who.ID] == 0 {
		delete(h.address.clients, h.who.ID)
	}
	if h.address.holdings--; h.address.holdings == 0 {
		delete(t.addresses, h.who.Address)
	}
	h.table = nil
}

// Spare says that a holding may give way from now on, after those that may already: to what its own
// client takes, and toOthers as well if that is true.
func (h *Holding[T]) Spare(toOthers bool) {
	h.Keep()
	h.own = h.client.spare.PushBack(h)
	if toOthers {
		h.near = h.address.spare.PushBack(h)
		h.far = h.table.spare.PushBack(h)
	}
}

// First makes a holding that may give way the first to go.
func (h *Holding[T]) First() {
	if h.own != nil {
		h.client.spare.MoveToFront(h.own)
	}
	if h.near != nil {
		h.address.spare.MoveToFront(h.near)
		h.table.spare.MoveToFront(h.far)
	}
}

// Keep says that a holding may not give way any more.
func (h *Holding[T]) Keep() {
	if h.own != nil {
		h.client.spare.Remove(h.own)
	}
	if h.near != nil {
		h.address.spare.Remove(h.near)
		h.table.spare.Remove(h.far)
	}
	h.own, h.near, h.far = nil, nil, nil
}

// GivesWay returns what has to give way, so that there is more room for what a client was told to be
// over, or nil. It is the first of the client's own. Only where the client has none, and its own
// share is not what it is over, it is the first of others of its address, or else of all.
func (t *Table[T]) GivesWay(who Client, over Over) *Holding[T] {
	var lists [3]*list.List
	if a := t.clients[who.ID]; a != nil {
		lists[0] = &a.spare
	}
	if a := t.addresses[who.Address]; a != nil && over >= OverAddress {
		lists[1] = &a.spare
	}
	if over >= OverBound {
		lists[2] = &t.spare
	}
	for _, l := range lists {
		if l != nil && l.Len() > 0 {
			return l.Front().Value.(*Holding[T])
		}
	}
	return nil
}
