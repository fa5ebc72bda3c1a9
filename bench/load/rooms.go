package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// room is one stream: its owner, who sends, and those who joined it.
type room struct {
	id      string
	owner   *Socket
	members []*Socket

	text, binary *message
	question     []byte
}

// attachmentSize is the size of the attachments among mixed traffic: a short piece of a recorded
// sound.
const attachmentSize = 2 << 10

// Rooms makes Rooms streams of Receivers clients each, one of which owns the stream and sends to
// the others, and Others further clients that have joined nothing. Rate is that of all rooms
// together. Of ten messages seven are text, two are binary and one is a question of the owner that
// the server acknowledges.
func Rooms(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Rooms == 0 || options.Receivers < 2 || options.Rate == 0 {
		return nil, errors.New("needs rooms, two or more clients in each, and a rate")
	}
	f := newFanout(target, options)
	var err error
	if f.audience, err = gather(ctx, target, options.Rooms*options.Receivers+options.Others, 0); err != nil {
		return nil, err
	}
	f.lostHandshakes = f.audience.lost
	f.each = int64(options.Receivers - 1)
	rooms := make([]*room, options.Rooms)
	for i := range rooms {
		first := i * options.Receivers
		rooms[i] = newRoom("room-"+strconv.Itoa(i), f.audience.sockets[first:first+options.Receivers], options.Payload)
		f.senders = append(f.senders, rooms[i].owner)
		for _, member := range rooms[i].members {
			f.receivers = append(f.receivers, &receiver{socket: member})
		}
	}
	if err := fill(rooms); err != nil {
		f.audience.abort()
		return nil, err
	}
	defer f.start(ctx)()
	for _, other := range f.audience.sockets[options.Rooms*options.Receivers:] {
		f.group.Go(func() { f.drain(other) })
	}
	turn := 0
	return f.run(ctx, func(stop <-chan struct{}) error {
		return f.sendAtRate(stop, func() error {
			// The kind changes with each whole turn of all rooms too, so that every room gets every
			// kind.
			r, kind := rooms[turn%len(rooms)], (turn+turn/len(rooms))%10
			turn++
			return f.sendMixed(r, kind)
		})
	})
}

func newRoom(id string, sockets []*Socket, payload int) *room {
	named := `["stream:data",{"streamId":"` + id + `","data":`
	return &room{
		id:       id,
		owner:    sockets[0],
		members:  sockets[1:],
		text:     newText("42"+named, payload, `}]`),
		binary:   newBinary("451-"+named+placeholder+`}]`, attachmentSize),
		question: appendFrame(nil, opText, []byte(`427["stream:join",{"streamId":"`+id+`"}]`)),
	}
}

// fill starts the streams and lets their members join, some rooms at a time.
func fill(rooms []*room) error {
	failed := make([]error, dialers)
	var group sync.WaitGroup
	for worker := range dialers {
		group.Go(func() {
			for i := worker; i < len(rooms) && failed[worker] == nil; i += dialers {
				failed[worker] = rooms[i].fill()
			}
		})
	}
	group.Wait()
	return errors.Join(failed...)
}

func (r *room) fill() error {
	if err := r.owner.ask(`42["stream:start",{"streamId":"`+r.id+`"}]`, `42["stream:started",`); err != nil {
		return err
	}
	for _, member := range r.members {
		if err := member.ask(`420["stream:join",{"streamId":"`+r.id+`"}]`, `430[`); err != nil {
			return err
		}
	}
	return nil
}

// ask sends a packet and waits for the answer that begins as told. There are servers that lose what
// comes right after CONNECT: they are asked again.
func (s *Socket) ask(packet, answer string) error {
	var err error
	for range 1 + maxLost {
		if err = s.askOnce(packet, answer); !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	if err != nil {
		return err
	}
	return s.conn.SetReadDeadline(time.Time{})
}

func (s *Socket) askOnce(packet, answer string) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(stallAfter)); err != nil {
		return err
	}
	if err := s.send(appendFrame(nil, opText, []byte(packet))); err != nil {
		return err
	}
	for {
		message, err := s.next()
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", answer, err)
		}
		if bytes.HasPrefix(message.head, []byte(answer)) {
			return nil
		}
	}
}

func (f *fanout) sendMixed(r *room, kind int) error {
	var err error
	switch kind {
	case 0:
		// An answer goes to its asker alone and is no delivery.
		err = r.owner.send(r.question)
	case 1, 2:
		err = r.owner.send(r.binary.stamped(now()))
	default:
		err = r.owner.send(r.text.stamped(now()))
	}
	if err != nil {
		return fmt.Errorf("owner of %s: %w", r.id, err)
	}
	if kind != 0 {
		f.sent.Add(1)
	}
	return nil
}
