package streaming

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// sink is a connection that says what it begins with, and takes everything.
type sink struct {
	net.Conn
	says  *bytes.Reader
	ended chan struct{}
	once  sync.Once
}

func (s *sink) Read(p []byte) (int, error) {
	if s.says.Len() > 0 {
		return s.says.Read(p)
	}
	<-s.ended
	return 0, net.ErrClosed
}

func (s *sink) Write(p []byte) (int, error)      { return len(p), nil }
func (s *sink) SetDeadline(time.Time) error      { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) SetReadDeadline(at time.Time) error {
	if at.IsZero() {
		return nil
	}
	return s.Close()
}

func (s *sink) Close() error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

// sinkWriter gives away its connection.
type sinkWriter struct {
	*httptest.ResponseRecorder
	conn *sink
}

func (w sinkWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// sinkSockets connects clients that take everything and say nothing.
func sinkSockets(b *testing.B, s *testServer, sockets <-chan *Socket, n int) (list []*Socket) {
	for range n {
		frame := ws.MaskFrameInPlace(ws.NewTextFrame([]byte("40")))
		w := sinkWriter{httptest.NewRecorder(), &sink{says: bytes.NewReader(ws.MustCompileFrame(frame)), ended: make(chan struct{})}}
		r := httptest.NewRequest(http.MethodGet, "/socket.io/?"+rawclient.Query(rawclient.WebSocket, ""), nil)
		r.Header = http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		}
		go s.Handler().ServeHTTP(w, r)
		list = append(list, receive(b, "a socket", sockets))
	}
	return list
}

// BenchmarkManySenders broadcasts from as many goroutines as there are processors, each
// to one room after another, of 20 members each: rooms without common members; rooms
// whose members are in a room of their own before that, which is what most services do;
// rooms with members of another room; and one room for all.
func BenchmarkManySenders(b *testing.B) {
	const members, rooms = 20, 64
	for _, test := range []struct {
		name  string
		join  func(s *Socket, i int)
		rooms int
	}{
		{"rooms apart", func(s *Socket, i int) { s.Admit(fmt.Sprint("room", i/members)) }, rooms},
		{"rooms after own ones", func(s *Socket, i int) {
			s.Admit(s.ID() + "'s")
			s.Admit(fmt.Sprint("room", i/members))
		}, rooms},
		{"rooms with common members", func(s *Socket, i int) {
			s.Admit(fmt.Sprint("room", i/members))
			if i%members == 0 {
				s.Admit(fmt.Sprint("room", (i/members+1)%rooms))
			}
		}, rooms},
		{"one room", func(s *Socket, i int) {
			if i < members {
				s.Admit("room0")
			}
		}, 1},
	} {
		b.Run(test.name, func(b *testing.B) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(b, Options{}, onConnect(sockets))
			inRoom := make([]*Socket, rooms)
			for i, socket := range sinkSockets(b, s, sockets, members*rooms) {
				test.join(socket, i)
				inRoom[i/members] = socket
			}
			n := s.Of("/")
			args := mustArgs(map[string]string{"from": "ann", "text": "hello"})
			var names [rooms]string
			for i := range names {
				names[i] = fmt.Sprint("room", i)
			}
			var sender atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for i := int(sender.Add(1)) * 7; p.Next(); i++ {
					room := i % test.rooms
					for i%16 == 0 && inRoom[room].client().session.QueuedBytes() > 100_000 {
						runtime.Gosched()
					}
					_ = n.To(names[room]).EmitArgs("message", args)
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/members, "ns/delivery")
		})
	}
}

// BenchmarkManyJoins has sockets join and leave, each on a goroutine of its own, rooms
// that others are in.
func BenchmarkManyJoins(b *testing.B) {
	r := newRooms()
	for i := range 6400 {
		s := &Socket{id: fmt.Sprint("socket", i)}
		r.add(s)
		r.join(s, fmt.Sprint("room", i%64))
	}
	var joiner atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		at := joiner.Add(1)
		s := &Socket{id: fmt.Sprint("joiner", at)}
		r.add(s)
		r.join(s, fmt.Sprint("own", at))
		for i := int(at) * 7; p.Next(); i++ {
			room := fmt.Sprint("room", i%64)
			r.join(s, room)
			r.leave(s, room)
		}
	})
}

// BenchmarkJoinMany has one socket join many rooms. What each takes does not depend on
// how many they are.
func BenchmarkJoinMany(b *testing.B) {
	for _, rooms := range []int{10, 1000, 40_000} {
		b.Run(fmt.Sprint(rooms), func(b *testing.B) {
			names := make([]string, rooms)
			for i := range names {
				names[i] = fmt.Sprintf("room-%08d", i)
			}
			for b.Loop() {
				r := newRooms()
				s := &Socket{id: "x"}
				r.add(s)
				for _, name := range names {
					r.join(s, name)
				}
				r.remove(s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rooms), "ns/room")
		})
	}
}

// BenchmarkEmit has each processor send to sockets of its own, one after the other, and all of
// them to one: by the socket itself, and by a broadcast to its ID.
func BenchmarkEmit(b *testing.B) {
	const each = 64
	args := mustArgs(map[string]string{"from": "ann", "text": "hello"})
	for _, way := range []struct {
		name string
		emit func(*Socket)
	}{
		{"socket", func(s *Socket) { _ = s.EmitArgs("message", args) }},
		{"ID", func(s *Socket) { _ = s.namespace.To(s.id).EmitArgs("message", args) }},
	} {
		for _, own := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/own=%v", way.name, own), func(b *testing.B) {
				sockets := make(chan *Socket, 1)
				s := newTestServer(b, Options{Engine: engineio.Options{SendBuffer: 1 << 30}}, onConnect(sockets))
				list := sinkSockets(b, s, sockets, each*runtime.GOMAXPROCS(0))
				var next atomic.Int64
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(run *testing.PB) {
					mine := list[(next.Add(1)-1)*each:][:each]
					for i := 0; run.Next(); i++ {
						socket := list[0]
						if own {
							socket = mine[i%each]
						}
						for i%64 == 0 && socket.client().session.QueuedBytes() > 100_000 {
							runtime.Gosched()
						}
						way.emit(socket)
					}
				})
			})
		}
	}
}
