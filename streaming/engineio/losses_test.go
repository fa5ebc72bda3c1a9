package engineio

import (
	"net"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// lingering is a listener that takes its time at the end.
type lingering struct{ closed chan<- Reason }

func (lingering) Message([]byte, bool) (Work, error) { return nil, nil }

func (l lingering) Close(reason Reason) {
	time.Sleep(time.Second)
	l.closed <- reason
}

// TestLossOfManyHoldsNobodyUp loses many clients at once, whose ends take long: another one
// gets its pings in time.
func TestLossOfManyHoldsNobodyUp(t *testing.T) {
	const lost = 10
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		closed := make(chan Reason, lost)
		accept := s.Server.accept
		s.Server.accept = func(*Session) Listener { return lingering{closed} }
		for range lost {
			conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, ""))
			must(t, conn.ReadOpen())
			go func() { _ = conn.ReadEnd() }()
		}
		s.Server.accept = accept
		time.Sleep(timeout + wheelTick/2)
		conn, _ := s.connectPipe(t)
		watch := startWatch()
		expect(t, "packet", need(conn.ReadText())(t), "2")
		watch.expectPassed(t, "ping", interval)
		for range lost {
			expect(t, "reason", <-closed, ReasonPingTimeout)
		}
		synctest.Wait()
		expect(t, "open sessions", s.Sessions(), 1)
	})
}

// panicking is a connection that fails in the worst way.
type panicking struct{ net.Conn }

func (panicking) Write([]byte) (int, error) { panic("a fault of the connection") }

// TestPanicWhileWritingFreesTheBudget has a connection panic: what was taken from the queue
// counts no more.
func TestPanicWhileWritingFreesTheBudget(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		server, client := net.Pipe()
		defer func() { _ = client.Close() }()
		s.ServeHTTP(&hijackable{httptest.NewRecorder(), panicking{server}}, websocketRequest(t, rawclient.Query(rawclient.WebSocket, "")))
		s.recorders[0].waitClosed(t, ReasonTransportError)
		synctest.Wait()
		expect(t, "bytes that count", s.Metrics().BufferedBytes, 0)
	})
}
