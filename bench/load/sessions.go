package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Sessions has Rooms sessions of Receivers clients each. For the Duration the clients share
// content, leave and come back, visit other sessions and are killed and come back, at random, Rate
// times a second all together. Each keeps a list of who is in its sessions, as a page would, and
// holds it against the server's: whenever it joins a session that it is in already, and in the end,
// when all have come to rest.
//
// Nought must be: wrong_beliefs, lists that differed from the server's; crossed, events of a
// session that the client was not in; lost, contents that one who was there missed or got out of
// order; and ghosts, clients that the server has in a session and that are not there, after Settle
// at most.
func Sessions(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Rooms == 0 || options.Receivers < 2 || options.Rate == 0 {
		return nil, errors.New("needs rooms, two or more clients in each, and a rate")
	}
	load := &sessionsLoad{target: target, rooms: options.Rooms, payload: strings.Repeat("x", options.Payload)}
	load.failures = newTally()
	defer load.end()
	if err := load.gather(ctx, options.Rooms*options.Receivers); err != nil {
		return nil, err
	}
	from, err := options.mark()
	if err != nil {
		return nil, err
	}
	pause := time.Duration(float64(time.Second) * float64(len(load.clients)) / float64(options.Rate))
	if err := load.act(ctx, options.Duration, pause); err != nil {
		return nil, err
	}
	to, err := options.mark()
	if err != nil {
		return nil, err
	}
	ghosts, err := load.settle(ctx, options.Settle)
	if err != nil {
		return nil, err
	}
	result := &Result{Notes: load.failures.notes()}
	result.cost(from, to, float64(load.actions.Load()), "action")
	for name, count := range map[string]*atomic.Int64{
		"contents": &load.contents, "deliveries": &load.deliveries, "joins": &load.joins, "leaves": &load.leaves, "kills": &load.kills,
		"checked_beliefs": &load.checked, "wrong_beliefs": &load.wrong, "crossed": &load.crossed, "lost": &load.lost,
	} {
		result.set(name, float64(count.Load()))
	}
	result.set("ghosts", float64(ghosts))
	result.set("failed", float64(load.failures.total()))
	return result, nil
}

type sessionsLoad struct {
	target  *Target
	rooms   int
	payload string
	clients []*sessionClient

	actions, contents, deliveries, joins, leaves, kills atomic.Int64
	checked, wrong, crossed, lost                       atomic.Int64
	// stays numbers what senders count their contents in.
	stays    atomic.Int64
	failures *tally
	readers  sync.WaitGroup
}

// sessionClient is one client: a goroutine acts for it, and another reads.
type sessionClient struct {
	load *sessionsLoad
	home string

	mu     sync.Mutex
	socket *Socket
	// in are the sessions that the client is in, as far as it has heard.
	in map[string]*stay
	// asked holds what is waited for, by the id of the acknowledgement.
	asked  map[int]question
	nextID int
}

// question is a join or leave that the server has not acknowledged yet.
type question struct {
	session string
	leave   bool
}

// stay is a client's time in a session.
type stay struct {
	// members are those that the client believes in.
	members map[string]bool
	// number and sent mark the client's own contents; seen is the last mark of each other stay.
	number, sent int64
	seen         map[int64]int64
}

func (l *sessionsLoad) gather(ctx context.Context, count int) error {
	crowd, err := gather(ctx, l.target, count, 8<<10)
	if err != nil {
		return err
	}
	for i, socket := range crowd.sockets {
		c := &sessionClient{load: l, home: "session-" + strconv.Itoa(i%l.rooms)}
		l.clients = append(l.clients, c)
		c.connected(socket)
		c.join(c.home)
	}
	return l.rest(ctx)
}

// connected begins anew on a connection.
func (c *sessionClient) connected(socket *Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	socket.scanner.keepAll = true
	c.socket, c.in, c.asked, c.nextID = socket, make(map[string]*stay), make(map[int]question), 0
	c.load.readers.Go(func() { c.read(socket) })
}

// act lets all clients act, each with random pauses of the given mean.
func (l *sessionsLoad) act(ctx context.Context, duration, pause time.Duration) error {
	acting, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var group sync.WaitGroup
	for _, c := range l.clients {
		group.Go(func() {
			for sleep(acting, rand.N(2*pause+1)) == nil {
				c.act(ctx)
				l.actions.Add(1)
			}
		})
	}
	group.Wait()
	return ctx.Err()
}

// act does one thing, unless the client stays away.
func (c *sessionClient) act(ctx context.Context) {
	c.mu.Lock()
	away := c.in == nil
	c.mu.Unlock()
	if away {
		return
	}
	switch n := rand.IntN(100); {
	case n < 3:
		c.kill(ctx)
	case n < 10:
		c.leave(c.home)
	case n < 25:
		c.join(c.home) // back, or again to hold what is believed against what is
	case n < 35:
		c.visit("session-" + strconv.Itoa(rand.IntN(c.load.rooms)))
	default:
		c.share()
	}
}

// visit joins another session, or leaves it when the client is there.
func (c *sessionClient) visit(session string) {
	if session == c.home {
		return
	}
	for other := range c.sessions() {
		if other != c.home {
			c.leave(other)
			return
		}
	}
	c.join(session)
}

func (c *sessionClient) sessions() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make(map[string]bool, len(c.in))
	for session := range c.in {
		list[session] = true
	}
	return list
}

func (c *sessionClient) join(session string) {
	c.load.joins.Add(1)
	c.ask(question{session: session}, `["join",{"sessionId":"`+session+`","clientName":"client of `+c.home+`"}]`)
}

func (c *sessionClient) leave(session string) {
	if c.sessions()[session] {
		c.load.leaves.Add(1)
		c.ask(question{session: session, leave: true}, `["leave",{"sessionId":"`+session+`"}]`)
	}
}

// ask asks unless the same session is asked about already: what a client believes in between would
// be nobody's fault.
func (c *sessionClient) ask(q question, event string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.asked {
		if other.session == q.session {
			return
		}
	}
	c.nextID++
	c.asked[c.nextID] = q
	c.sendLocked("42" + strconv.Itoa(c.nextID) + event)
}

func (c *sessionClient) sendLocked(text string) {
	if err := c.socket.send(appendFrame(nil, opText, []byte(text))); err != nil {
		c.load.failures.add(err)
	}
}

// share sends content to all sessions that the client is in. It tells its session, so that the
// receivers see where it belongs, and its place among those of the same stay.
func (c *sessionClient) share() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for session, s := range c.in {
		if c.isLeaving(session) {
			continue
		}
		s.sent++
		c.load.contents.Add(1)
		c.sendLocked(fmt.Sprintf(`42["content",{"sessionId":"%s","content":"%s %d %d %s"}]`, session, session, s.number, s.sent, c.load.payload))
	}
}

// isLeaving tells whether the client has said that it leaves a session. The lock is held.
func (c *sessionClient) isLeaving(session string) bool {
	for _, q := range c.asked {
		if q.leave && q.session == session {
			return true
		}
	}
	return false
}

// kill ends the connection without a word, and comes back.
func (c *sessionClient) kill(ctx context.Context) {
	c.load.kills.Add(1)
	c.mu.Lock()
	c.socket.Abort()
	c.mu.Unlock()
	socket, err := Dial(ctx, c.load.target, 8<<10)
	if err != nil {
		c.load.failures.add(err)
		c.mu.Lock()
		c.in = nil // it stays away
		c.mu.Unlock()
		return
	}
	c.connected(socket)
	c.join(c.home)
}

func (c *sessionClient) read(socket *Socket) {
	for {
		f, err := socket.next()
		c.mu.Lock()
		if c.socket != socket || err != nil {
			killed := errors.Is(err, errClosedByServer)
			c.mu.Unlock()
			if killed {
				c.load.failures.add(err)
			}
			return
		}
		if err := c.hear(f.head); err != nil {
			c.load.failures.add(err)
		}
		c.mu.Unlock()
	}
}

// hear takes what the server says. The lock is held.
func (c *sessionClient) hear(packet []byte) error {
	if rest, ok := bytes.CutPrefix(packet, []byte("43")); ok {
		digits, list, _ := bytes.Cut(rest, []byte("["))
		id, err := strconv.Atoi(string(digits))
		if err != nil {
			return fmt.Errorf("bad acknowledgement: %w", err)
		}
		return c.answered(id, append([]byte("["), list...))
	}
	if rest, ok := bytes.CutPrefix(packet, []byte(`42["content",{"sessionId":"`)); ok {
		return c.received(string(rest))
	}
	var event []json.RawMessage
	if !bytes.HasPrefix(packet, []byte("42")) || json.Unmarshal(packet[2:], &event) != nil || len(event) < 2 {
		return fmt.Errorf("unexpected packet %.60q", packet)
	}
	var payload struct{ SessionID, ClientID, Code string }
	if err := json.Unmarshal(event[1], &payload); err != nil {
		return err
	}
	s := c.in[payload.SessionID]
	switch name := string(event[0]); {
	case name == `"error"`:
		return errors.New("refused: " + payload.Code)
	case s == nil:
		c.load.crossed.Add(1)
	case name == `"client-joined"` && !s.members[payload.ClientID]:
		s.members[payload.ClientID] = true
	case name == `"client-left"` && s.members[payload.ClientID]:
		delete(s.members, payload.ClientID)
	default: // told twice, or of somebody who was not there
		c.load.wrong.Add(1)
	}
	return nil
}

// answered takes the acknowledgement of a join or leave.
func (c *sessionClient) answered(id int, list []byte) error {
	q, known := c.asked[id]
	delete(c.asked, id)
	var answers []struct {
		Success bool
		Code    string
		Clients []struct{ ID string }
	}
	if err := json.Unmarshal(list, &answers); err != nil || len(answers) != 1 || !known {
		return fmt.Errorf("bad acknowledgement: %.60q", list)
	}
	answer := answers[0]
	if !answer.Success {
		return errors.New("refused: " + answer.Code)
	}
	if q.leave {
		delete(c.in, q.session)
		return nil
	}
	members := make(map[string]bool, len(answer.Clients))
	for _, client := range answer.Clients {
		members[client.ID] = true
	}
	s := c.in[q.session]
	if s == nil {
		c.in[q.session] = &stay{members: members, number: c.load.stays.Add(1), seen: make(map[int64]int64)}
		return nil
	}
	c.load.checked.Add(1)
	if len(members) != len(s.members) {
		c.load.wrong.Add(1)
		return nil
	}
	for id := range members {
		if !s.members[id] {
			c.load.wrong.Add(1)
			return nil
		}
	}
	return nil
}

// received takes content: `<session>","content":"<session> <stay> <number> ...`.
func (c *sessionClient) received(rest string) error {
	session, rest, ok := strings.Cut(rest, `","content":"`)
	fields := strings.SplitN(rest, " ", 4)
	if !ok || len(fields) < 4 {
		return fmt.Errorf("unexpected content %.60q", rest)
	}
	c.load.deliveries.Add(1)
	s := c.in[session]
	if s == nil || fields[0] != session {
		c.load.crossed.Add(1)
		return nil
	}
	sender, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return err
	}
	if last, seen := s.seen[sender]; seen && number != last+1 {
		c.load.lost.Add(1)
	}
	s.seen[sender] = number
	return nil
}

// restLimit is how long the server may take to answer all questions.
const restLimit = 10 * time.Second

// rest waits until the server has answered all questions.
func (l *sessionsLoad) rest(ctx context.Context) error {
	deadline := now() + restLimit
	for {
		waiting := 0
		for _, c := range l.clients {
			c.mu.Lock()
			if c.in != nil {
				waiting += len(c.asked)
			}
			c.mu.Unlock()
		}
		if waiting == 0 {
			return nil
		}
		if now() > deadline {
			return fmt.Errorf("%d questions are not answered", waiting)
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// settle has all clients ask who is there, and holds that against who is, until it agrees or the
// time is up.
func (l *sessionsLoad) settle(ctx context.Context, limit time.Duration) (ghosts int, err error) {
	deadline := now() + limit
	for {
		if err := l.rest(ctx); err != nil {
			return 0, err
		}
		for _, c := range l.clients {
			for session := range c.sessions() {
				c.join(session)
			}
		}
		if err := l.rest(ctx); err != nil {
			return 0, err
		}
		there := make(map[string]int)
		for _, c := range l.clients {
			for session := range c.sessions() {
				there[session]++
			}
		}
		ghosts = 0
		for _, c := range l.clients {
			c.mu.Lock()
			for session, s := range c.in {
				ghosts += max(len(s.members)-there[session], there[session]-len(s.members))
			}
			c.mu.Unlock()
		}
		if ghosts == 0 || now() > deadline {
			return ghosts, nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// end closes all connections.
func (l *sessionsLoad) end() {
	for _, c := range l.clients {
		c.mu.Lock()
		socket := c.socket
		c.socket = nil
		c.mu.Unlock()
		socket.Abort()
	}
	l.readers.Wait()
}
