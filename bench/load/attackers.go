package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the attacks. They are as much as two cores can send beside honest clients; the server
// would be given more by more machines, and what it does with each piece would be the same.
const (
	// floodRate is how many handshakes a second are tried, by floodWorkers, all from one address.
	floodRate, floodWorkers = 2000, 16
	// halfOpen sessions are held, of halfOpenAddresses.
	halfOpen, halfOpenAddresses = 5000, 50
	// slowPosts are under way at a time, of which each sends a byte now and then.
	slowPosts, slowPostPause = 500, 500 * time.Millisecond
	// slowReaders join and never read, while messages of slowReaderPayload bytes go to everyone.
	slowReaders, slowReaderRate, slowReaderPayload = 100, 20, 4096
	// garbageTotal bytes are sent, by garbageWorkers.
	garbageTotal, garbageWorkers = 100 << 20, 8
	// stormClients connect, are reset, and connect again, stormParallel at a time.
	stormClients, stormParallel = 1000, 32
)

// from is the target for a client with this address, 127.0.1.n. Attackers have others than honest
// clients.
func (t *Target) from(n int) *Target {
	other := *t
	other.source = net.IPv4(127, 0, 1, byte(1+n%250))
	return &other
}

// paced calls do with the number of each turn, at so many a second in all, by so many workers,
// until ctx ends.
func paced(ctx context.Context, rate, workers int, do func(turn int)) {
	var next atomic.Int64
	began := now()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for {
				turn := next.Add(1) - 1
				due := began + time.Duration(turn)*time.Second/time.Duration(rate)
				if sleep(ctx, max(due-now(), 0)) != nil {
					return
				}
				do(int(turn))
			}
		})
	}
	group.Wait()
}

// begin opens a connection and asks for a WebSocket; the socket has the answer when there is no
// error.
func begin(ctx context.Context, target *Target) (*Socket, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	tcp, err := target.dialTCP(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := target.secure(ctx, tcp)
	if err != nil {
		tcp.Close()
		return nil, err
	}
	s := &Socket{conn: conn, tcp: tcp, buffer: make([]byte, 1<<10)}
	_ = conn.SetDeadline(time.Now().Add(stepTimeout))
	if _, err = conn.Write(upgradeRequest(target)); err == nil {
		err = s.readUpgrade()
	}
	if err != nil {
		s.Abort()
		return nil, err
	}
	return s, nil
}

var errLetIn = errors.New("let in")

// note counts what became of a handshake, unless the attack is over.
func note(ctx context.Context, seen *tally, err error) {
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = errLetIn
	}
	seen.add(err)
}

// floodHandshakes connects again and again from one address, and goes at once.
func floodHandshakes(ctx context.Context, target *Target, seen *tally) {
	target = target.from(0)
	paced(ctx, floodRate, floodWorkers, func(int) {
		s, err := begin(ctx, target)
		note(ctx, seen, err)
		if err == nil {
			s.Abort()
		}
	})
}

// holdHalfOpen holds sessions that connect to no namespace and answer no heartbeat. Those the
// server ends are begun anew.
func holdHalfOpen(ctx context.Context, target *Target, seen *tally) {
	var group sync.WaitGroup
	places := make(chan int, halfOpen)
	for i := range halfOpen {
		places <- i
	}
	for range dialers {
		group.Go(func() {
			for {
				var place int
				select {
				case <-ctx.Done():
					return
				case place = <-places:
				}
				s, err := begin(ctx, target.from(place%halfOpenAddresses))
				note(ctx, seen, err)
				if err != nil {
					if sleep(ctx, 100*time.Millisecond) == nil {
						places <- place
					}
					continue
				}
				group.Go(func() {
					stop := context.AfterFunc(ctx, s.Abort)
					defer stop()
					defer s.Abort()
					_ = s.conn.SetDeadline(time.Time{})
					for {
						if _, err := s.conn.Read(s.buffer); err != nil {
							break
						}
					}
					if ctx.Err() == nil {
						places <- place
					}
				})
			}
		})
	}
	group.Wait()
}

// postSlowly begins sessions on long-polling, and sends to each a body that hardly gets on.
func postSlowly(ctx context.Context, target *Target, seen *tally) {
	var group sync.WaitGroup
	for i := range slowPosts {
		group.Go(func() {
			for sleep(ctx, rand.N(time.Second)) == nil {
				note(ctx, seen, postSlowlyOnce(ctx, target.from(i)))
			}
		})
	}
	group.Wait()
}

func postSlowlyOnce(ctx context.Context, target *Target) error {
	dialing, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	tcp, err := target.dialTCP(dialing)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { tcp.Close() })()
	defer tcp.Close()
	conn, err := target.secure(dialing, tcp)
	if err != nil {
		return err
	}
	p := &poller{target: target, conn: conn, reader: bufio.NewReaderSize(conn, 1<<10)}
	_ = conn.SetDeadline(time.Now().Add(stepTimeout))
	if _, err := conn.Write(p.request("GET", "")); err != nil {
		return err
	}
	if err := p.open(); err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	head := fmt.Sprintf("POST %s?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 900000\r\n\r\n4", target.Path, p.sid, target.Host)
	if _, err := conn.Write([]byte(head)); err != nil {
		return err
	}
	for sleep(ctx, slowPostPause) == nil {
		if _, err := conn.Write([]byte("x")); err != nil {
			return errCutOff
		}
	}
	return nil
}

var errCutOff = errors.New("cut off while posting")

// readNothing joins with clients that never read, while one more sends to everyone.
func readNothing(ctx context.Context, target *Target, seen *tally) {
	readLittle(ctx, target, seen, slowReaders, slowReaderRate, slowReaderPayload)
}

// readLittle joins with count clients that never read, while one more sends rate messages a second
// of so many bytes to everyone.
func readLittle(ctx context.Context, target *Target, seen *tally, count, rate, payload int) {
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() {
			s, err := Dial(ctx, target.from(i).narrowed(), 0)
			note(ctx, seen, err)
			if err == nil {
				<-ctx.Done()
				s.Abort()
			}
		})
	}
	sender, err := Dial(ctx, target.from(249), 0)
	if err == nil {
		group.Go(func() {
			// It gets nothing but heartbeats.
			for {
				if _, err := sender.next(); err != nil {
					return
				}
			}
		})
		message := newMessage(payload)
		paced(ctx, rate, 1, func(int) {
			if err := sender.send(message.stamped(now())); err != nil {
				note(ctx, seen, fmt.Errorf("sending to everyone: %w", err))
			}
		})
		sender.Abort()
	} else {
		note(ctx, seen, err)
	}
	group.Wait()
}

// sendGarbage sends what means nothing, on bare connections, in bodies and in WebSockets, as fast
// as it is taken, and no more than garbageTotal in all.
func sendGarbage(ctx context.Context, target *Target, seen *tally) {
	piece := make([]byte, 64<<10)
	for i := range piece {
		piece[i] = byte(rand.Uint32())
	}
	var left atomic.Int64
	left.Store(garbageTotal)
	var group sync.WaitGroup
	for worker := range garbageWorkers {
		group.Go(func() {
			for turn := worker; ctx.Err() == nil && left.Load() > 0; turn++ {
				sent, err := garbageOnce(ctx, target.from(turn), turn%3, piece, &left)
				if sent == 0 && err != nil {
					note(ctx, seen, err)
					_ = sleep(ctx, 10*time.Millisecond)
				}
			}
		})
	}
	group.Wait()
	seen.add(fmt.Errorf("%d MiB were taken", (garbageTotal-max(left.Load(), 0))>>20))
	<-ctx.Done()
}

// garbageOnce sends over one connection until the server ends it.
func garbageOnce(ctx context.Context, target *Target, way int, piece []byte, left *atomic.Int64) (sent int64, err error) {
	dialing, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	tcp, err := target.dialTCP(dialing)
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { tcp.Close() })()
	defer tcp.Close()
	conn, err := target.secure(dialing, tcp)
	if err != nil {
		return 0, err
	}
	_ = conn.SetDeadline(time.Now().Add(stepTimeout))
	switch way {
	case 1:
		s := &Socket{conn: conn, tcp: tcp, buffer: make([]byte, 1<<10)}
		if _, err = conn.Write(upgradeRequest(target)); err == nil {
			err = s.readUpgrade()
		}
	case 2:
		p := &poller{target: target, conn: conn, reader: bufio.NewReaderSize(conn, 1<<10)}
		if _, err = conn.Write(p.request("GET", "")); err == nil {
			err = p.open()
		}
		if err == nil {
			_, err = fmt.Fprintf(conn, "POST %s?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 900000\r\n\r\n", target.Path, p.sid, target.Host)
		}
	}
	for err == nil && left.Load() > 0 {
		var n int
		n, err = conn.Write(piece)
		sent += int64(n)
		left.Add(-int64(n))
	}
	return sent, err
}

// reconnect lets many clients connect and lose their connections all at once, again and again.
func reconnect(ctx context.Context, target *Target, seen *tally) {
	for ctx.Err() == nil {
		sockets := make([]*Socket, stormClients)
		var group sync.WaitGroup
		for worker := range stormParallel {
			group.Go(func() {
				for i := worker; i < stormClients && ctx.Err() == nil; i += stormParallel {
					var err error
					sockets[i], err = Dial(ctx, target.from(i), 0)
					note(ctx, seen, err)
				}
			})
		}
		group.Wait()
		for _, s := range sockets {
			if s != nil {
				s.Abort()
			}
		}
	}
}
