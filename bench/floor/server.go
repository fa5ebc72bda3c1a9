// Package floor is the least a server can do for a fan-out: it upgrades WebSockets, builds one
// frame for each message and writes it to everyone else. There are no rooms, no heartbeats, no
// limits. What it costs is what the machine asks for; what another server costs beyond it is that
// server's own.
package floor

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// Server serves one fan-out.
type Server struct {
	hub hub
}

// NewOne returns a server that makes one write for each frame and receiver.
func NewOne() *Server {
	return newServer((*member).write)
}

// NewJoined returns a server that gives each receiver a queue, all that is pending in which one of
// so many workers writes at once.
func NewJoined(workers int) *Server {
	return newServer(newFlusher(workers).queue)
}

func newServer(deliver func(*member, []byte)) *Server {
	return &Server{hub: hub{members: make(map[*member]struct{}), deliver: deliver}}
}

// Serve takes connections from the listener until that is closed.
func (s *Server) Serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go serve(&s.hub, conn)
	}
}

// serve takes one connection from its upgrade to its end.
func serve(h *hub, conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 1<<10)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	if request.URL.Path == "/health" {
		body := fmt.Sprintf(`{"status":"ok","service":"floor","connections":%d}`, h.count())
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"+
			"Content-Length: %d\r\n\r\n%s", len(body), body)
		return
	}
	if !strings.EqualFold(request.Header.Get("Upgrade"), "websocket") {
		fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		return
	}
	m := &member{conn: conn}
	if m.upgrade(request.Header.Get("Sec-WebSocket-Key")) != nil {
		return
	}
	defer h.leave(m)
	// The error says that the client has gone, in one way or another.
	_ = m.read(h, reader)
}
