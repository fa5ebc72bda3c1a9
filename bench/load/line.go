package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// line is the HTTP/1.1 connection that a client on long-polling keeps for requests of one kind, as
// a browser does: it is used again until the server closes it, and a request that was lost on a
// used connection is sent again on a new one.
type line struct {
	target *Target
	// single makes each request go over a connection of its own, and never again: what Node's
	// client does.
	single bool
	conn   net.Conn
	reader *bufio.Reader
	// resent counts the requests that were sent again.
	resent int
}

// requestTimeout is longer than any poll is held.
const requestTimeout = time.Minute

// exchange makes one request and returns the body of its answer, which must be 200.
func (l *line) exchange(ctx context.Context, method, sid, body string) (string, error) {
	used := l.conn != nil
	answer, unanswered, err := l.once(ctx, method, sid, body)
	if unanswered && used && ctx.Err() == nil {
		l.resent++
		answer, _, err = l.once(ctx, method, sid, body)
	}
	return answer, err
}

// once makes one attempt. unanswered tells that no byte of an answer came.
func (l *line) once(ctx context.Context, method, sid, body string) (answer string, unanswered bool, err error) {
	if l.conn == nil {
		if err := l.dial(ctx); err != nil {
			return "", false, err
		}
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	conn := l.conn
	if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return "", false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	p := poller{target: l.target, sid: sid}
	request := p.request(method, body)
	if l.single {
		request = []byte(strings.Replace(string(request), "\r\n", "\r\nConnection: close\r\n", 1))
	}
	if _, err := l.conn.Write(request); err != nil {
		return "", true, err
	}
	if _, err := l.reader.Peek(1); err != nil {
		return "", true, fmt.Errorf("%s unanswered: %w", method, err)
	}
	response, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return "", false, err
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxPayload))
	_ = response.Body.Close()
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", method, response.Status)
	}
	if response.Close || l.single {
		l.close()
	}
	return string(content), false, err
}

func (l *line) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	tcp, err := l.target.dialTCP(ctx)
	if err != nil {
		return err
	}
	conn, err := l.target.secure(ctx, tcp)
	if err != nil {
		tcp.Close()
		return err
	}
	l.conn, l.reader = conn, bufio.NewReaderSize(conn, 4<<10)
	return nil
}

func (l *line) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}
