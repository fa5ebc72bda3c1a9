package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// The bounds of what is read of an answer, in bytes.
const (
	maxHeaderBytes = 64 << 10
	maxSmallBody   = 64 << 10
	maxPollBody    = 4 << 20
)

// question is a request of the visit.
type question struct {
	method, path, query string
	// sid, when not empty, is added to the query, and never shown.
	sid    string
	body   []byte
	header http.Header
	// client sends it. Default: the one that keeps connections.
	client *http.Client
	// limit bounds the body that is read. Default: maxSmallBody.
	limit int64
	// timeout is that of the request. Default: the option.
	timeout time.Duration
	// bare leaves the user's headers out: for requests to where they do not belong.
	bare bool
}

// String is the request as a person may see it.
func (q question) String() string {
	text := q.method + " " + q.path
	if q.query != "" {
		text += "?" + q.query
	}
	if q.sid != "" {
		text += "&sid=…"
	}
	if origin := q.header.Get("Origin"); origin != "" {
		text += " with Origin: " + origin
	}
	return text
}

// answer is what came of a question. err means that no complete answer came; status is not zero
// when it had begun.
type answer struct {
	question       string
	err            error
	limit          time.Duration
	status         int
	proto          string
	header         http.Header
	body           []byte
	truncated      bool
	sent, received time.Time
}

// ask sends a question and reads the answer, whatever its status. Redirects are not followed.
func (d *visit) ask(ctx context.Context, q question) answer {
	if q.client == nil {
		q.client = d.client
	}
	if q.limit == 0 {
		q.limit = maxSmallBody
	}
	if q.timeout == 0 {
		q.timeout = d.Timeout
	}
	a := answer{question: q.String(), limit: q.timeout, header: make(http.Header), sent: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	r, err := d.request(ctx, q)
	if err != nil {
		a.err = err
		return a
	}
	response, err := q.client.Do(r)
	if err != nil {
		// The error of the client repeats the address, in which there is the sid.
		inner := new(url.Error)
		if errors.As(err, &inner) {
			err = inner.Err
		}
		a.err = err
		return a
	}
	defer func() { _ = response.Body.Close() }()
	a.status, a.proto, a.header = response.StatusCode, response.Proto, response.Header
	a.body, a.err = io.ReadAll(io.LimitReader(response.Body, q.limit+1))
	a.received = time.Now()
	if int64(len(a.body)) > q.limit {
		a.body, a.truncated = a.body[:q.limit], true
	}
	d.noteSoftware(a)
	return a
}

func (d *visit) request(ctx context.Context, q question) (*http.Request, error) {
	at := *d.site
	at.Path = ""
	address := at.String() + q.path
	query := q.query
	if q.sid != "" {
		query += "&sid=" + url.QueryEscape(q.sid)
	}
	if query != "" {
		address += "?" + query
	}
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, address, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Accept", "*/*")
	fields := []http.Header{d.Header, q.header}
	if q.bare {
		fields = fields[1:]
	}
	for _, header := range fields {
		for name, values := range header {
			r.Header[name] = values
		}
	}
	return r, nil
}

const userAgent = "caddy-socketio-doctor"

// seen is the question with what came, for a finding.
func (a answer) seen() string {
	if a.err != nil && a.status == 0 {
		return a.question
	}
	text := fmt.Sprintf("%s answered %d", a.question, a.status)
	for _, name := range []string{"Server", "Via", "Content-Type", "Location"} {
		if value := a.header.Get(name); value != "" {
			text += ", " + name + ": " + excerpt(value)
		}
	}
	if len(a.body) > 0 && a.status != http.StatusOK && !a.isHTML() {
		text += ", " + excerpt(string(a.body))
	}
	return text
}

func (a answer) isHTML() bool {
	start := bytes.ToLower(bytes.TrimSpace(a.body))
	return bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html")) ||
		strings.HasPrefix(a.header.Get("Content-Type"), "text/html")
}

// failure names what kept an answer from coming. The code is empty when one came.
func (a answer) failure() (code, words string) {
	switch {
	case a.truncated:
		return "body-endless", fmt.Sprintf("The answer does not end: after %s there was still more.", bytesInWords(int64(len(a.body))))
	case a.err == nil:
		return "", ""
	case isTimeout(a.err) && a.status != 0:
		return "answer-unfinished", fmt.Sprintf("The answer began and had not ended after %v.", a.limit)
	case isTimeout(a.err):
		return "no-answer", fmt.Sprintf("There was no answer within %v.", a.limit)
	case strings.Contains(a.err.Error(), "malformed HTTP"), strings.Contains(a.err.Error(), "malformed MIME"):
		return "not-http", "What came back is not HTTP: another kind of server listens there."
	case isCut(a.err):
		return "connection-cut", "The connection was closed before there was an answer."
	default:
		return "request-failed", "The request failed: " + a.err.Error() + "."
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

func isCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "EOF")
}

func bytesInWords(n int64) string {
	switch {
	case n >= 10_000_000:
		return fmt.Sprintf("%d MB", n/1_000_000)
	case n >= 1_000_000:
		return strings.Replace(fmt.Sprintf("%.1f MB", float64(n)/1e6), ".0 ", " ", 1)
	case n >= 1_000:
		return fmt.Sprintf("%d kB", n/1_000)
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
