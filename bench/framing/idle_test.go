package framing

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/lxzan/gws"
)

// idle is how many connections sit there.
const idle = 2000

// BenchmarkIdle reports what an open connection with a waiting reader holds of heap and stacks:
// real TCP connections on loopback, accepted by net/http, whose handler gives them away and
// returns. The clients' bare ends live in the same process; "bare" is what both ends cost without
// any WebSocket.
func BenchmarkIdle(b *testing.B) {
	b.Run("bare", func(b *testing.B) { measureIdle(b, serveBare) })
	b.Run("gobwas", func(b *testing.B) { measureIdle(b, serveGobwas) })
	b.Run("gws", func(b *testing.B) { measureIdle(b, serveGWS()) })
	b.Run("coder", func(b *testing.B) { measureIdle(b, serveCoder) })
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// serveBare keeps the connection and reads nothing.
func serveBare(w http.ResponseWriter, _ *http.Request) (func(), error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	_, err = conn.Write([]byte(switching))
	return func() {}, err
}

// serveGobwas reads with a small buffer of its own and frees what net/http used.
func serveGobwas(w http.ResponseWriter, _ *http.Request) (func(), error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte(switching)); err != nil {
		return nil, err
	}
	return func() {
		buffer := bufio.NewReaderSize(conn, 512)
		for {
			header, err := ws.ReadHeader(buffer)
			if err != nil {
				return
			}
			_, _ = buffer.Discard(int(header.Length))
		}
	}, nil
}

func serveGWS() func(http.ResponseWriter, *http.Request) (func(), error) {
	upgrader := gws.NewUpgrader(new(gws.BuiltinEventHandler), &gws.ServerOption{ReadBufferSize: 512})
	return func(w http.ResponseWriter, r *http.Request) (func(), error) {
		socket, err := upgrader.Upgrade(w, r)
		if err != nil {
			return nil, err
		}
		return socket.ReadLoop, nil
	}
}

func serveCoder(w http.ResponseWriter, r *http.Request) (func(), error) {
	socket, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil, err
	}
	return func() {
		for {
			if _, _, err := socket.Reader(context.Background()); err != nil {
				return
			}
		}
	}, nil
}

func measureIdle(b *testing.B, serve func(http.ResponseWriter, *http.Request) (read func(), err error)) {
	var each float64
	for b.Loop() {
		each += connectIdle(b, serve)
	}
	b.ReportMetric(each/float64(b.N), "B/conn")
}

func connectIdle(b *testing.B, serve func(http.ResponseWriter, *http.Request) (func(), error)) float64 {
	kept := make(chan net.Conn, idle)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, err := serve(w, r)
		if err != nil {
			b.Error(err)
			return
		}
		go read()
	}))
	// The server's ends are closed here, and must not be lost to the collector before.
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateHijacked {
			kept <- conn
		}
	}
	server.Start()
	clients := make([]net.Conn, 0, idle)
	before := held()
	for range idle {
		clients = append(clients, dialIdle(b, server.Listener.Addr().String()))
	}
	after := held()
	for _, client := range clients {
		client.Close()
	}
	for range clients {
		(<-kept).Close()
	}
	server.Close()
	return float64(after-before) / idle
}

func dialIdle(b *testing.B, address string) net.Conn {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 512)
	for filled := 0; !strings.Contains(string(answer[:filled]), "\r\n\r\n"); {
		n, err := conn.Read(answer[filled:])
		if err != nil {
			b.Fatal(err)
		}
		filled += n
	}
	return conn
}

// held is heap and stacks in use after the collector has run: three times, as what lies in a pool
// survives the first.
func held() int64 {
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}
