package framing

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/lxzan/gws"
)

// BenchmarkBroadcast sends one 200-byte text message to 1,000 receivers, from the message to the
// writes on their connections, which cost nothing here: what is measured is the library.
func BenchmarkBroadcast(b *testing.B) {
	b.Run("gobwas", broadcastGobwas)
	b.Run("gobwas-joining-8", broadcastGobwasJoining)
	b.Run("gws", broadcastGWS)
	b.Run("coder", broadcastCoder)
}

func broadcastGobwas(b *testing.B) {
	conns, _ := newSinks(b, receivers)
	for b.Loop() {
		frame, err := ws.CompileFrame(ws.NewTextFrame(payload))
		if err != nil {
			b.Fatal(err)
		}
		for _, conn := range conns {
			if _, err := conn.Write(frame); err != nil {
				b.Fatal(err)
			}
		}
	}
	perDelivery(b, 1)
}

// broadcastGobwasJoining writes eight messages to each receiver at once, which the other two cannot
// be asked for: they write when they are given a message.
func broadcastGobwasJoining(b *testing.B) {
	const messages = 8
	conns, _ := newSinks(b, receivers)
	var joined []byte
	for b.Loop() {
		var frames [messages][]byte
		for i := range frames {
			var err error
			if frames[i], err = ws.CompileFrame(ws.NewTextFrame(payload)); err != nil {
				b.Fatal(err)
			}
		}
		for _, conn := range conns {
			joined = joined[:0]
			for _, frame := range frames {
				joined = append(joined, frame...)
			}
			if _, err := conn.Write(joined); err != nil {
				b.Fatal(err)
			}
		}
	}
	perDelivery(b, messages)
}

func broadcastGWS(b *testing.B) {
	conns, written := newSinks(b, receivers)
	upgrader := gws.NewUpgrader(new(gws.BuiltinEventHandler), nil)
	sockets := make([]*gws.Conn, len(conns))
	for i, conn := range conns {
		var err error
		if sockets[i], err = upgrader.Upgrade(newHijackable(conn), upgradeRequest()); err != nil {
			b.Fatal(err)
		}
	}
	frame := int64(len(payload) + 4)
	for b.Loop() {
		target := written.Load() + receivers*frame
		broadcast := gws.NewBroadcaster(gws.OpcodeText, payload)
		for _, socket := range sockets {
			if err := broadcast.Broadcast(socket); err != nil {
				b.Fatal(err)
			}
		}
		if err := broadcast.Close(); err != nil {
			b.Fatal(err)
		}
		// The writes are made by other goroutines; they belong to the broadcast.
		awaitWritten(written, target)
	}
	perDelivery(b, 1)
}

func awaitWritten(written *atomic.Int64, target int64) {
	for written.Load() < target {
		runtime.Gosched()
	}
}

func broadcastCoder(b *testing.B) {
	conns, _ := newSinks(b, receivers)
	sockets := make([]*websocket.Conn, len(conns))
	for i, conn := range conns {
		sockets[i] = acceptCoder(b, conn)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for b.Loop() {
		for _, socket := range sockets {
			if err := socket.Write(ctx, websocket.MessageText, payload); err != nil {
				b.Fatal(err)
			}
		}
	}
	perDelivery(b, 1)
}

func acceptCoder(b *testing.B, conn net.Conn) *websocket.Conn {
	socket, err := websocket.Accept(newHijackable(conn), upgradeRequest(), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = socket.CloseNow() })
	return socket
}

// perDelivery reports the cost of one message to one receiver.
func perDelivery(b *testing.B, messages int) {
	deliveries := float64(b.N * receivers * messages)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
}
