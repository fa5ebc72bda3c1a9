package load

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Bounds of the attacks that are after the server's memory.
const (
	// pingers send empty pings, pingBatch in a write, and read nothing.
	pingers, pingBatch = 50, 2000
	// hoarders send a packet of ten attachments of hoardedSize bytes, but for the last one. All
	// are of one address.
	hoarders, hoardedSize = 200, 990_000
	// begunPosts are bodies of bodySize bytes of which the last byte never comes.
	begunPosts, bodySize = 300, 990_000
	// leavers poll, and go while their answer is written: three messages of answerSize bytes.
	leavers, answerSize = 60, 900_000
	// sleepers join and take nothing, while messages of sleeperPayload bytes go to everyone.
	sleepers, sleeperRate, sleeperPayload = 1000, 20, 200
	// askers ask for acknowledgements, and take none.
	askers, askBatch = 50, 500
	// bombers send messages of bombSize bytes, compressed to a thousandth.
	bombers, bombSize = 10, 999_000
)

// each runs attackers side by side, again and again until ctx ends, with a pause between two turns
// of one.
func each(ctx context.Context, target *Target, seen *tally, count int, attack func(ctx context.Context, target *Target, number int) error) {
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() {
			for ctx.Err() == nil {
				note(ctx, seen, attack(ctx, target, i))
				_ = sleep(ctx, 200*time.Millisecond)
			}
		})
	}
	group.Wait()
}

// flood sends the same again and again over a connection that takes nothing, until the server ends it.
func flood(ctx context.Context, target *Target, piece []byte) error {
	s, err := Dial(ctx, target.narrowed(), 0)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, s.Abort)()
	defer s.Abort()
	_ = s.conn.SetDeadline(time.Time{})
	for {
		if err := s.send(piece); err != nil {
			return errEnded
		}
	}
}

var errEnded = fmt.Errorf("ended while sending")

// pingOnly sends empty pings and reads no answer.
func pingOnly(ctx context.Context, target *Target, seen *tally) {
	piece := bytes.Repeat(appendFrame(nil, opPing, nil), pingBatch)
	each(ctx, target, seen, pingers, func(ctx context.Context, target *Target, number int) error {
		return flood(ctx, target.from(number), piece)
	})
}

// askOnly asks for acknowledgements and reads none.
func askOnly(ctx context.Context, target *Target, seen *tally) {
	piece := bytes.Repeat(appendFrame(nil, opText, []byte(`4210["stream:join",{"streamId":"none"}]`)), askBatch)
	each(ctx, target, seen, askers, func(ctx context.Context, target *Target, number int) error {
		return flood(ctx, target.from(number), piece)
	})
}

// hoard sends all of a large packet but for its last attachment, and then answers heartbeats.
func hoard(ctx context.Context, target *Target, seen *tally) {
	text := `4510-["message"`
	for i := range 10 {
		text += fmt.Sprintf(`,{"_placeholder":true,"num":%d}`, i)
	}
	head := appendFrame(nil, opText, []byte(text+"]"))
	attachment := appendFrame(nil, opBinary, make([]byte, hoardedSize))
	target = target.from(0)
	each(ctx, target, seen, hoarders, func(ctx context.Context, target *Target, _ int) error {
		s, err := Dial(ctx, target, 0)
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, s.Abort)()
		defer s.Abort()
		_ = s.conn.SetDeadline(time.Time{})
		err = s.send(head)
		for range 9 {
			if err == nil {
				err = s.send(attachment)
			}
		}
		for err == nil {
			_, err = s.next()
		}
		return errEnded
	})
}

// postInPart sends all of a large body but for its last byte.
func postInPart(ctx context.Context, target *Target, seen *tally) {
	body := bytes.Repeat([]byte("x"), bodySize-1)
	body[0] = '4'
	each(ctx, target, seen, begunPosts, func(ctx context.Context, target *Target, number int) error {
		p, err := dialPolling(ctx, target.from(number))
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { p.conn.Close() })()
		defer p.conn.Close()
		_ = p.conn.SetDeadline(time.Time{})
		head := fmt.Sprintf("POST %s?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", p.target.Path, p.sid, p.target.Host, bodySize)
		if _, err = p.conn.Write([]byte(head)); err == nil {
			_, err = p.conn.Write(body)
		}
		if err == nil {
			// The answer comes when the server has had enough.
			_, _ = p.conn.Read(make([]byte, 1))
		}
		return errEnded
	})
}

// leaveAnswers polls, and goes as soon as a large answer has begun to come. What is sent for that
// goes to a namespace of its own, since honest clients are not meant to get it.
func leaveAnswers(ctx context.Context, target *Target, seen *tally) {
	var group sync.WaitGroup
	group.Go(func() {
		message := appendFrame(nil, opText, []byte(`42/apart,["message","`+strings.Repeat("x", answerSize)+`"]`))
		connect := appendFrame(nil, opText, []byte("40/apart,"))
		each(ctx, target, seen, 1, func(ctx context.Context, target *Target, _ int) error {
			sender, err := Dial(ctx, target.from(249), 0)
			if err != nil {
				return err
			}
			defer context.AfterFunc(ctx, sender.Abort)()
			defer sender.Abort()
			if err := sender.send(connect); err != nil {
				return errEnded
			}
			for {
				_ = sender.conn.SetDeadline(time.Now().Add(stepTimeout))
				for range 3 {
					if err := sender.send(message); err != nil {
						return errEnded
					}
				}
				if err := sleep(ctx, time.Second); err != nil {
					return err
				}
			}
		})
	})
	each(ctx, target, seen, leavers, func(ctx context.Context, target *Target, number int) error {
		p, err := dialPolling(ctx, target.from(number).narrowed())
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { p.conn.Close() })()
		defer p.conn.Close()
		if _, err = p.exchange("POST", "40/apart,"); err != nil {
			return err
		}
		if _, err = p.exchange("GET", ""); err != nil {
			return err
		}
		if _, err = p.conn.Write(p.request("GET", "")); err == nil {
			_, err = p.conn.Read(make([]byte, 1))
		}
		_ = sleep(ctx, 2*time.Second)
		return err
	})
	group.Wait()
}

// takeNothing joins with many clients that take nothing, while one more sends to everyone.
func takeNothing(ctx context.Context, target *Target, seen *tally) {
	readLittle(ctx, target, seen, sleepers, sleeperRate, sleeperPayload)
}

// bomb sends compressed messages that become a thousand times as large.
func bomb(ctx context.Context, target *Target, seen *tally) {
	var compressed bytes.Buffer
	w, _ := flate.NewWriter(&compressed, flate.BestCompression)
	_, _ = w.Write(append([]byte(`42["nobody hears this","`), append(bytes.Repeat([]byte("x"), bombSize), `"]`...)...))
	_ = w.Flush()
	const emptyBlock = 4
	frame := appendFrame(nil, opText, compressed.Bytes()[:compressed.Len()-emptyBlock])
	frame[0] |= 0x40
	each(ctx, target, seen, bombers, func(ctx context.Context, target *Target, number int) error {
		own := target.from(number)
		own.compression = newCompression()
		return flood(ctx, own, frame)
	})
}
