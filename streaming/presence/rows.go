package presence

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The bounds of rows: how many one server may have, the bytes of these, and the bytes of those of all others.
const (
	MaxRows    = 200_000
	maxBytes   = 32 << 20
	maxForeign = 128 << 20
)

// table are the rows of one server, by their keys.
type table map[string]json.RawMessage

// copies are what is known of another server's rows.
type copies struct {
	rows  table
	bytes int
	// seq is the number of the last change that is part of them. They are synced unless one was missed.
	seq    uint64
	synced bool
	// asked is when all of them were last asked for.
	asked time.Time
	// coming is what has come of all rows so far, of the change with the number comingSeq.
	coming      table
	comingSeq   uint64
	comingPart  int
	comingBytes int
}

// Change is what becomes of a row of another server.
type Change struct {
	Node, Key string
	// Old and New are its values, nil where it has none.
	Old, New json.RawMessage
	// Lost is true when the row ends with its server: that has given no sign of life for a lease, or has begun
	// anew.
	Lost bool
}

// errFull are rows beyond the bounds.
var errFull = errors.New("it has more rows than a server may have")

// Set gives a row of this server a value, which is JSON, or, with nil, removes it. Others are told. The error
// means that the row is too large or that there are too many: others then do not know of it.
func (p *Peers) Set(key string, value json.RawMessage) error {
	defer p.work()
	r := row{key, value}
	if err := r.check(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if value == nil {
		if _, there := p.own[key]; !there {
			return nil
		}
		delete(p.own, key)
	} else {
		if _, there := p.own[key]; !there && len(p.own) >= MaxRows {
			return errFull
		}
		p.own[key] = value
	}
	p.seq++
	p.tell(message{Kind: kindRows, Seq: p.seq, Rows: []row{r}})
	return nil
}

// Watch has a function called with each change of rows of other servers whose keys have a prefix: in the order of
// the changes of one row, one call after the other, and first with the rows that there are. It takes the place
// of the one before for that prefix, which is not told of those again. It must not wait.
func (p *Peers) Watch(prefix string, watcher func(Change)) {
	defer p.work()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, before := p.watchers[prefix]
	p.watchers[prefix] = watcher
	if before {
		return
	}
	for name, other := range p.nodes {
		for key, value := range other.rows {
			if hasPrefix(key, prefix) {
				p.inbox.add(func() { watcher(Change{Node: name, Key: key, New: value}) })
			}
		}
	}
}

// changed tells watchers.
func (p *Peers) changed(c Change) {
	for prefix := range p.watchers {
		if hasPrefix(c.Key, prefix) {
			watcher := p.watchers[prefix]
			p.inbox.add(func() { watcher(c) })
		}
	}
}

// put makes a change of another server's row.
func (p *Peers) put(name string, other *node, r row, lost bool) {
	old := other.rows[r.Key]
	if string(old) == string(r.Value) {
		return
	}
	size := 0
	if old != nil {
		size -= row{r.Key, old}.size()
	}
	if r.Value == nil {
		delete(other.rows, r.Key)
	} else {
		size += r.size()
		if other.rows == nil {
			other.rows = make(table)
		}
		other.rows[r.Key] = r.Value
	}
	other.bytes += size
	p.bytes += size
	p.changed(Change{Node: name, Key: r.Key, Old: old, New: r.Value, Lost: lost})
}

// empty removes the rows of another server that is gone.
func (p *Peers) empty(name string, other *node) {
	for key := range other.rows {
		p.put(name, other, row{Key: key}, true)
	}
}

// room refuses rows beyond the bounds.
func (p *Peers) room(rows, bytes, before int) error {
	if rows > MaxRows || bytes > maxBytes || p.bytes-before+bytes > maxForeign {
		return fmt.Errorf("%w: %d of %d bytes", errFull, rows, bytes)
	}
	return nil
}

// change takes changes.
func (p *Peers) change(m *message, other *node) error {
	switch {
	case m.Seq <= other.seq && other.synced:
		return nil // it has come before
	case !other.synced || m.Seq != other.seq+1:
		p.want(m.From, other)
		return nil
	}
	bytes := other.bytes
	for _, r := range m.Rows {
		bytes += r.size()
	}
	if err := p.room(len(other.rows)+len(m.Rows), bytes, other.bytes); err != nil {
		other.synced = false
		return err
	}
	other.seq = m.Seq
	for _, r := range m.Rows {
		p.put(m.From, other, r, false)
	}
	return nil
}

// want asks a server for all of its rows, if it was not asked just before.
func (p *Peers) want(name string, other *node) {
	other.synced = false
	if now := time.Now(); now.Sub(other.asked) >= Beat/2 {
		other.asked = now
		p.tell(message{Kind: kindWant, To: name})
	}
}

// tellAll tells all of the own rows. Who asks again at once has to wait, since all have got them.
func (p *Peers) tellAll() {
	now := time.Now()
	if now.Sub(p.told) < Beat/4 {
		return
	}
	p.told = now
	var parts [][]row
	bytes := 0
	for key, value := range p.own {
		r := row{key, value}
		if last := len(parts) - 1; last < 0 || len(parts[last]) == partRows || bytes+r.size() > partBytes {
			parts, bytes = append(parts, nil), 0
		}
		bytes += r.size()
		parts[len(parts)-1] = append(parts[len(parts)-1], r)
	}
	if len(parts) == 0 {
		parts = [][]row{nil}
	}
	for i, rows := range parts {
		p.tell(message{Kind: kindAll, Seq: p.seq, Rows: rows, Part: i, Parts: len(parts)})
	}
}

// collect takes a part of all rows, and has them when it was the last one.
func (p *Peers) collect(m *message, other *node) error {
	if other.synced {
		return nil
	}
	if m.Parts == 0 {
		return errors.New("its parts do not add up")
	}
	if m.Part == 0 {
		other.coming, other.comingSeq, other.comingPart, other.comingBytes = make(table), m.Seq, 0, 0
	}
	if other.coming == nil || m.Seq != other.comingSeq || m.Part != other.comingPart {
		other.coming = nil // one was missed: it is asked for with the next sign of life
		return nil
	}
	for _, r := range m.Rows {
		if r.Value == nil {
			continue
		}
		other.coming[r.Key] = r.Value
		other.comingBytes += r.size()
	}
	if err := p.room(len(other.coming), other.comingBytes, other.bytes); err != nil {
		other.coming = nil
		return err
	}
	other.comingPart++
	if other.comingPart < m.Parts {
		return nil
	}
	for key := range other.rows {
		if other.coming[key] == nil {
			p.put(m.From, other, row{Key: key}, false)
		}
	}
	for key, value := range other.coming {
		p.put(m.From, other, row{key, value}, false)
	}
	other.coming, other.seq, other.synced = nil, m.Seq, true
	return nil
}
