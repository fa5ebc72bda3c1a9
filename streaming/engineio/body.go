package engineio

import (
	"errors"
	"io"
	"slices"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// firstBody is what is allocated for the body of a POST before any of it has come,
// in bytes. From then on it is twice what has come at most.
const firstBody = 512

// readAll reads the body of a POST. What it takes of memory is kept, as unfinished
// until all of it has come. If there is no error, the caller takes cap(body) away
// again, see [Session.Keep].
func (s *Session) readAll(r io.Reader) (body []byte, err error) {
	body = make([]byte, 0, firstBody)
	s.KeepUnfinished(cap(body))
	for {
		if len(body) == cap(body) {
			s.makeRoom()
			before := cap(body)
			body = slices.Grow(body, before)
			s.KeepUnfinished(cap(body) - before)
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			s.Keep(cap(body))
			s.KeepUnfinished(-cap(body))
			return body, nil
		}
		if err != nil {
			s.KeepUnfinished(-cap(body))
			return nil, err
		}
	}
}

// sharedBody is the size of a body, in bytes, from which on packets that are a small
// part of it get memory of their own.
const sharedBody = 4 << 10

// ownMemory returns the data of a packet of a body that takes memory bytes. The
// listener may keep it, and must not thereby keep a body that is much larger.
func ownMemory(p wire.Packet, memory int) []byte {
	if p.Binary || memory < sharedBody || len(p.Data) >= memory/2 {
		return p.Data
	}
	return slices.Clone(p.Data)
}

// compact returns what is left of a body that takes memory bytes. What is kept of it
// counts by its length, and must not keep much more.
func compact(rest []byte, memory int) []byte {
	if memory < sharedBody || len(rest) >= memory*3/4 {
		return rest
	}
	return slices.Clone(rest)
}
