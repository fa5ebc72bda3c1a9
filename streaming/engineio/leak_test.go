package engineio

import (
	"runtime"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// TestNothingIsLeftOfManySessions opens and ends 1,000 sessions on each
// transport, in every way a session can end. newServer checks for goroutines,
// open sessions and deadlines at the end.
func TestNothingIsLeftOfManySessions(t *testing.T) {
	const clients, each = 8, 125
	closeByServer := func(r *recorder) { r.session.Close(ReasonForcedClose) }
	t.Run("polling", func(t *testing.T) {
		s := newServer(t, Options{})
		s.repeat(t, clients, each, func(i int) error {
			p, err := s.client.Handshake(t.Context())
			if err != nil {
				return err
			}
			recorder := s.recorder(t, p.Open.SID)
			recorder.session.Send(text("x"))
			if _, err := p.Poll(t.Context()); err != nil {
				return err
			}
			switch i % 3 {
			case 0:
				_, err = p.Post(t.Context(), "4x", "1")
			case 1:
				_, err = p.Post(t.Context(), "malformed")
			default:
				closeByServer(recorder)
				_, err = p.Poll(t.Context())
			}
			<-recorder.over
			return err
		})
	})
	t.Run("websocket", func(t *testing.T) {
		s := newServer(t, Options{})
		s.repeat(t, clients, each, func(i int) error {
			conn, err := s.client.Connect(t.Context())
			if err != nil {
				return err
			}
			return s.talkAndEnd(t, conn, i)
		})
	})
	t.Run("upgraded", func(t *testing.T) {
		s := newServer(t, Options{})
		s.repeat(t, clients, each, func(i int) error {
			p, err := s.client.Handshake(t.Context())
			if err != nil {
				return err
			}
			conn, err := p.Upgrade(t.Context())
			if err != nil {
				return err
			}
			return s.talkAndEnd(t, conn, i)
		})
	})
}

// talkAndEnd says something both ways and ends the session, in the i-th way.
func (s *testServer) talkAndEnd(t *testing.T, conn *rawclient.Conn, i int) error {
	defer func() { _ = conn.Close() }()
	recorder := s.recorder(t, conn.Open.SID)
	if err := conn.WriteText("4x"); err != nil {
		return err
	}
	recorder.session.Send(text("x"))
	if _, err := conn.ReadText(); err != nil {
		return err
	}
	var err error
	switch i % 4 {
	case 0:
		err = conn.Close()
	case 1:
		err = conn.Reset()
	case 2:
		if err = conn.WriteClose(ws.StatusNormalClosure); err == nil {
			_, err = conn.ReadClose()
		}
	default:
		recorder.session.Close(ReasonForcedClose)
		_, err = conn.ReadClose()
	}
	<-recorder.over
	return err
}

// repeat calls f so many times in each of so many goroutines.
func (s *testServer) repeat(t *testing.T, goroutines, each int, f func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := range each {
				if err := f(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	expect(t, "sessions", len(s.recorders), goroutines*each)
	eventually(t, "all sessions to end", func() bool { return s.alive.Load() == 0 })
}

// TestSessionsAreCollected checks that a session that is over can be collected.
func TestSessionsAreCollected(t *testing.T) {
	const count = 50
	s := newServer(t, Options{})
	var left sync.WaitGroup
	for i := range count {
		var recorder *recorder
		if i%2 == 0 {
			_, recorder = s.poller(t)
			recorder.session.abort(ReasonForcedClose)
		} else {
			var conn *rawclient.Conn
			conn, recorder = s.connect(t)
			must(t, conn.Close())
			<-recorder.over
		}
		left.Add(1)
		runtime.AddCleanup(recorder.session, func(int) { left.Done() }, 0)
		s.mu.Lock()
		s.recorders = nil
		s.mu.Unlock()
	}
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		left.Wait()
	}()
	eventually(t, "the sessions to be collected", func() bool {
		runtime.GC()
		select {
		case <-collected:
			return true
		default:
			return false
		}
	})
}
