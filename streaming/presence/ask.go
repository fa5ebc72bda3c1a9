package presence

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Answer answers what another server asks. ctx ends when that waits no more. It may wait.
type Answer func(ctx context.Context, body []byte) ([]byte, error)

// The bounds of questions: how long a server may take to answer where its adapter does not say, how many it
// answers at a time, and how many bytes an answer has.
const (
	defaultTimeout = 5 * time.Second
	maxAnswering   = 16
	maxAnswer      = maxParts * partBytes
	// maxComing is the size of all that has come of answers that are not complete.
	maxComing = 64 << 20
)

// The errors of [Peers.Ask].
var (
	// ErrUnknown is a server that there is not.
	ErrUnknown = errors.New("there is no such server")
	// ErrGone is one that has taken leave meanwhile, or has begun anew: its clients are gone.
	ErrGone = errors.New("the server has ended")
	// ErrLost is one that has given no sign of life for a lease.
	ErrLost = errors.New("the server gives no sign of life any more")
	// ErrSilent is one that has not answered in time.
	ErrSilent = errors.New("the server has not answered in time")
	// ErrLeft is what is asked while this server itself takes leave.
	ErrLeft = errors.New("this server takes leave of its cluster")
)

// call is a question that is not answered yet.
type call struct {
	node string
	done chan struct{}
	text strings.Builder
	// next is the number of the part that comes next, of so many parts.
	next, parts int
	err         error
}

// Answers has questions of a kind answered, in place of how it was done before.
func (p *Peers) Answers(what string, answer Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[what] = answer
}

// Ask asks another server, and waits for its answer: no longer than the adapter waits for answers, nor than the
// server is there.
func (p *Peers) Ask(ctx context.Context, node, what string, body []byte) ([]byte, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("a question to another server may have %d bytes, and this one has %d", maxBody, len(body))
	}
	timeout := defaultTimeout
	if clustered, _ := p.namespace.Clustered(); clustered != nil {
		timeout = clustered.RequestTimeout()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	id := rand.Text()
	c := &call{node: node, done: make(chan struct{})}
	p.mu.Lock()
	if p.left || p.nodes[node] == nil {
		defer p.mu.Unlock()
		if p.left {
			return nil, ErrLeft
		}
		return nil, ErrUnknown
	}
	p.calls[id] = c
	p.tell(message{Kind: kindAsk, To: node, ID: id, What: what, Body: string(body)})
	p.mu.Unlock()
	p.work()
	select {
	case <-c.done:
	case <-ctx.Done():
		p.mu.Lock()
		p.end(id, c, ErrSilent)
		p.mu.Unlock()
	}
	if c.err != nil {
		return nil, c.err
	}
	return []byte(c.text.String()), nil
}

// end ends a question. Only the first call does anything.
func (p *Peers) end(id string, c *call, err error) {
	if p.calls[id] != c {
		return
	}
	delete(p.calls, id)
	p.coming -= c.text.Len()
	c.err = err
	close(c.done)
}

// answered takes a part of an answer.
func (p *Peers) answered(m *message) error {
	c := p.calls[m.ID]
	switch {
	case c == nil:
		return nil // nobody waits for it any more
	case c.node != m.From:
		return errors.New("it answers what another server was asked")
	case m.Error != "":
		p.end(m.ID, c, errors.New(m.Error))
	case m.Part != c.next || m.Parts == 0 || c.next > 0 && m.Parts != c.parts:
		p.end(m.ID, c, errors.New("a part of the answer was lost"))
	case c.text.Len()+len(m.Body) > maxAnswer || p.coming+len(m.Body) > maxComing:
		err := fmt.Errorf("an answer may have %d bytes, and all that come at a time %d", maxAnswer, maxComing)
		p.end(m.ID, c, err)
		return err
	default:
		c.text.WriteString(m.Body)
		p.coming += len(m.Body)
		c.parts = m.Parts
		if c.next++; c.next == m.Parts {
			p.end(m.ID, c, nil)
		}
	}
	return nil
}

// answer has a question answered.
func (p *Peers) answer(m *message) {
	answer := p.answers[m.What]
	reply := message{Kind: kindAnswer, To: m.From, ID: m.ID}
	switch {
	case answer == nil:
		reply.Error = "it does not know what it is asked for: it may be of another version"
		p.tell(reply)
		return
	case p.answering >= maxAnswering:
		reply.Error = "it has too much to answer"
		p.tell(reply)
		return
	}
	p.answering++
	go func() {
		defer p.recovered("answering")
		defer p.work()
		body, err := p.safely(answer, []byte(m.Body))
		p.mu.Lock()
		defer p.mu.Unlock()
		p.answering--
		p.reply(reply, string(body), err)
	}()
}

// safely answers a question, whatever happens.
func (p *Peers) safely(answer Answer, body []byte) (text []byte, err error) {
	err = errors.New("it has failed, and its log says why") //nolint:wastedassign // unless it returns
	defer p.recovered("answering")
	ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
	defer cancel()
	return answer(ctx, body)
}

// reply tells an answer, in parts.
func (p *Peers) reply(m message, text string, err error) {
	switch {
	case err != nil:
		m.Error = cut(err.Error(), maxBody)[0]
	case len(text) > maxAnswer:
		m.Error = fmt.Sprintf("its answer has %d bytes, and may have %d", len(text), maxAnswer)
	}
	if m.Error != "" {
		p.tell(m)
		return
	}
	parts := cut(text, partBytes)
	for i, part := range parts {
		m.Body, m.Part, m.Parts = part, i, len(parts)
		p.tell(m)
	}
}

// cut cuts a text into parts of at most so many bytes, between characters. There is one part at least.
func cut(text string, most int) (parts []string) {
	for len(text) > most {
		at := most
		for at > 0 && text[at]&0xc0 == 0x80 {
			at--
		}
		parts, text = append(parts, text[:at]), text[at:]
	}
	return append(parts, text)
}
