package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Polling lets one client send `message` events over WebSocket, at a fixed rate, to Receivers
// clients that fetch them by long-polling.
func Polling(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Receivers == 0 || options.Rate == 0 {
		return nil, errors.New("needs receivers and a rate")
	}
	f := newFanout(target, options)
	sender, err := gather(ctx, target, 1, 0)
	if err != nil {
		return nil, err
	}
	f.audience, f.senders, f.lostHandshakes = sender, sender.sockets, sender.lost
	f.each = int64(options.Receivers)
	pollers, err := gatherPollers(ctx, target, options.Receivers)
	if err != nil {
		sender.abort()
		return nil, err
	}
	end := f.start(ctx)
	defer func() {
		f.closing.Store(true)
		for _, p := range pollers {
			p.conn.Close()
		}
		end()
	}()
	for _, p := range pollers {
		r := &receiver{}
		f.receivers = append(f.receivers, r)
		f.group.Go(func() { f.poll(p, r) })
	}
	return f.run(ctx, f.send)
}

// gatherPollers connects count clients that joined the main namespace over long-polling.
func gatherPollers(ctx context.Context, target *Target, count int) ([]*poller, error) {
	pollers := make([]*poller, count)
	failed := make([]error, dialers)
	var group sync.WaitGroup
	for worker := range dialers {
		group.Go(func() {
			for i := worker; i < count && failed[worker] == nil; i += dialers {
				pollers[i], failed[worker] = dialPolling(ctx, target)
			}
		})
	}
	group.Wait()
	if err := errors.Join(failed...); err != nil {
		for _, p := range pollers {
			if p != nil {
				p.conn.Close()
			}
		}
		return nil, err
	}
	return pollers, nil
}

func dialPolling(ctx context.Context, target *Target) (*poller, error) {
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
	p := &poller{target: target, conn: conn, reader: bufio.NewReaderSize(conn, 4<<10)}
	if err := p.connect(); err != nil {
		tcp.Close()
		return nil, err
	}
	return p, nil
}

// connect goes from an open connection to a connected socket.
func (p *poller) connect() error {
	if err := p.conn.SetDeadline(time.Now().Add(stepTimeout)); err != nil {
		return err
	}
	if _, err := p.conn.Write(p.request("GET", "")); err != nil {
		return err
	}
	if err := p.open(); err != nil {
		return err
	}
	if _, err := p.exchange("POST", "40"); err != nil {
		return err
	}
	body, err := p.exchange("GET", "")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(body, "40{") {
		return fmt.Errorf("%w: got %.60q", errNoConnect, body)
	}
	return p.conn.SetDeadline(time.Time{})
}

// exchange makes one request and reads its answer.
func (p *poller) exchange(method, body string) (string, error) {
	if _, err := p.conn.Write(p.request(method, body)); err != nil {
		return "", err
	}
	return p.answer()
}

// packetSeparator stands between the packets of a payload.
const packetSeparator = "\x1e"

// poll fetches and counts what one client gets, until its connection is closed.
func (f *fanout) poll(p *poller, r *receiver) {
	for {
		body, err := p.exchange("GET", "")
		if err != nil {
			f.fail(fmt.Errorf("poller: %w", err))
			return
		}
		readAt := now()
		deliveries := int64(0)
		for packet := range strings.SplitSeq(body, packetSeparator) {
			if packet == "2" {
				if _, err := p.exchange("POST", "3"); err != nil {
					f.fail(fmt.Errorf("poller: %w", err))
					return
				}
				continue
			}
			sent, found := r.stamps.read([]byte(packet))
			if !found {
				continue
			}
			deliveries++
			if sent < r.last {
				r.disordered++
			}
			r.last = sent
			if phase := f.recording.Load(); phase != notRecording {
				r.counts[phase].add(readAt - sent)
			}
		}
		f.written.Add(int64(p.size))
		f.count(deliveries)
	}
}
