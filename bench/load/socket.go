package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Socket is one Socket.IO client over WebSocket. One goroutine reads; writes may come from any.
type Socket struct {
	conn    net.Conn
	tcp     *net.TCPConn
	buffer  []byte
	pending []byte // what was read and not yet scanned, a part of buffer
	scanner scanner
	// compression is what the client offers, nil for nothing.
	compression *compression

	// readAt is when the bytes of the current frame came.
	readAt time.Duration
	// beforeRead, when set, runs each time nothing is left and the socket is about to wait for the
	// server.
	beforeRead func()
}

// stepTimeout bounds each wait of a handshake.
const stepTimeout = 10 * time.Second

const (
	// upgradeKey and upgradeAccept are the example of RFC 6455 section 1.3. A benchmark needs no
	// other.
	upgradeKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	upgradeAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

var (
	frameConnect = appendFrame(nil, opText, []byte("40"))
	framePong    = appendFrame(nil, opText, []byte("3"))
	frameClose   = appendFrame(nil, opClose, []byte{0x03, 0xe8})
)

var (
	errClosedByServer = errors.New("the server closed the connection")
	errRefused        = errors.New("the server refused the upgrade")
	errNoConnect      = errors.New("the server's answer to CONNECT did not come")
)

// Dial connects, upgrades and joins the main namespace; buffer is the size of its read buffer in
// bytes.
func Dial(ctx context.Context, target *Target, buffer int) (*Socket, error) {
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
	s := &Socket{conn: conn, tcp: tcp, buffer: make([]byte, max(buffer, 1<<10)), compression: target.compression}
	if err := s.handshake(target); err != nil {
		s.Abort()
		return nil, err
	}
	return s, nil
}

// handshake goes from an open connection to a connected socket, in the order a real client does it:
// CONNECT is sent as soon as the open packet is there.
func (s *Socket) handshake(target *Target) error {
	if err := s.conn.SetDeadline(time.Now().Add(stepTimeout)); err != nil {
		return err
	}
	if _, err := s.conn.Write(upgradeRequest(target)); err != nil {
		return err
	}
	if err := s.readUpgrade(); err != nil {
		return err
	}
	if err := s.expect("0{"); err != nil {
		return err
	}
	if _, err := s.conn.Write(frameConnect); err != nil {
		return err
	}
	if err := s.expect("40{"); err != nil {
		return fmt.Errorf("%w: %w", errNoConnect, err)
	}
	return s.conn.SetDeadline(time.Time{})
}

func upgradeRequest(target *Target) []byte {
	offer := ""
	if target.compression != nil {
		offer = "Sec-WebSocket-Extensions: " + deflateOffer + "\r\n"
	}
	return fmt.Appendf(nil, "GET %s?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
		target.Path, target.Host, upgradeKey, offer)
}

// readUpgrade reads the answer to the upgrade request; what follows it stays pending.
func (s *Socket) readUpgrade() error {
	end := []byte("\r\n\r\n")
	for filled := 0; filled < len(s.buffer); {
		n, err := s.conn.Read(s.buffer[filled:])
		filled += n
		if at := bytes.Index(s.buffer[:filled], end); at >= 0 {
			s.pending = s.buffer[at+len(end) : filled]
			s.readAt = now()
			if err := checkUpgrade(s.buffer[:at]); err != nil {
				return err
			}
			s.scanner.deflate, err = agreedToDeflate(string(s.buffer[:at]), s.compression != nil)
			return err
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: its answer is over %d bytes", errRefused, len(s.buffer))
}

func checkUpgrade(answer []byte) error {
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) {
		line, _, _ := bytes.Cut(answer, []byte("\r\n"))
		return fmt.Errorf("%w: %s", errRefused, line)
	}
	if !bytes.Contains(answer, []byte(upgradeAccept)) {
		return fmt.Errorf("%w: wrong Sec-WebSocket-Accept", errRefused)
	}
	return nil
}

// expect reads one text message and compares its beginning.
func (s *Socket) expect(prefix string) error {
	f, err := s.next()
	if err != nil {
		return err
	}
	if f.opcode != opText || !bytes.HasPrefix(f.head, []byte(prefix)) {
		return fmt.Errorf("got %.60q where %q... was due", f.head, prefix)
	}
	return nil
}

// next returns the next frame that is a message, and answers the server's heartbeats on the way.
func (s *Socket) next() (frame, error) {
	for {
		for len(s.pending) > 0 {
			f, taken, complete, err := s.scanner.scan(s.pending)
			s.pending = s.pending[taken:]
			if err != nil {
				return f, err
			}
			if !complete {
				continue
			}
			if f.compressed {
				if f, err = s.compression.frames.inflate(f); err != nil {
					return f, err
				}
			}
			message, err := s.sort(f)
			if message || err != nil {
				return f, err
			}
		}
		if s.beforeRead != nil {
			s.beforeRead()
		}
		n, err := s.conn.Read(s.buffer)
		s.readAt = now()
		s.pending = s.buffer[:n]
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = errClosedByServer
			}
			return frame{}, err
		}
	}
}

// sort tells messages from what keeps the connection going, which it deals with.
func (s *Socket) sort(f frame) (message bool, err error) {
	switch f.opcode {
	case opBinary:
		return true, nil
	case opClose:
		return false, errClosedByServer
	case opPing:
		_, err = s.conn.Write(appendFrame(nil, opPong, f.head))
		return false, err
	case opPong:
		return false, nil
	}
	if f.size == 1 && f.head[0] == '2' {
		_, err = s.conn.Write(framePong)
		return false, err
	}
	if f.size == 1 && f.head[0] == '1' {
		return false, errClosedByServer
	}
	return true, nil
}

// send writes a prepared frame.
func (s *Socket) send(frame []byte) error {
	_, err := s.conn.Write(frame)
	return err
}

// Close says goodbye and closes the connection.
func (s *Socket) Close() {
	// A server that is already gone is no news here.
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = s.conn.Write(frameClose)
	s.conn.Close()
}

// Abort resets the connection without a word, which also leaves no port waiting.
func (s *Socket) Abort() {
	_ = s.tcp.SetLinger(0)
	s.tcp.Close()
}
