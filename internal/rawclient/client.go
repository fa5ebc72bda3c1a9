package rawclient

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The names of the transports, as in the query of a request.
const (
	Polling   = "polling"
	WebSocket = "websocket"
)

// Separator stands between the packets of a long-polling payload.
const Separator = "\x1e"

// DefaultTimeout is the timeout of a new client.
const DefaultTimeout = 20 * time.Second

// Client talks to one endpoint. Set its fields before it is used.
type Client struct {
	// Endpoint is the address of the server, path included.
	Endpoint string
	// Header is sent with each request, WebSocket handshakes included.
	Header http.Header
	// HTTP sends the long-polling requests.
	HTTP *http.Client
	// TLS is the configuration for WebSockets to an https endpoint.
	TLS *tls.Config
	// Timeout bounds each operation: a request with its answer, one read,
	// one write.
	Timeout time.Duration
}

// New returns a client for the endpoint, an http or https address. It has
// connections of its own; end it with Close.
func New(endpoint string) *Client {
	return &Client{
		Endpoint: endpoint,
		Header:   make(http.Header),
		HTTP:     &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
		Timeout:  DefaultTimeout,
	}
}

// Close closes the connections that no request is using. WebSockets stay.
func (c *Client) Close() { c.HTTP.CloseIdleConnections() }

// Query is the query of a request of the protocol's revision 4: a handshake
// when sid is empty.
func Query(transport, sid string) string {
	query := "EIO=4&transport=" + url.QueryEscape(transport)
	if sid != "" {
		query += "&sid=" + url.QueryEscape(sid)
	}
	return query
}

// Response is the answer to a request, read to its end.
type Response struct {
	Status int
	// Proto is the protocol version, such as "HTTP/1.1".
	Proto  string
	Header http.Header
	Body   string
}

// Packets splits a long-polling payload.
func (r Response) Packets() []string { return strings.Split(r.Body, Separator) }

// ProtocolError is the JSON body of a refused request. ok is false when the
// body is something else.
func (r Response) ProtocolError() (code int, message string, ok bool) {
	var body struct {
		Code    *int    `json:"code"`
		Message *string `json:"message"`
	}
	decoder := json.NewDecoder(strings.NewReader(r.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || body.Code == nil || body.Message == nil {
		return 0, "", false
	}
	return *body.Code, *body.Message, true
}

// Do sends a request and reads the answer, whatever its status. header is
// sent beside that of the client, and may be nil. A body whose length is not
// known is sent in chunks. An error means that no complete answer came.
func (c *Client) Do(ctx context.Context, method, query string, body io.Reader, header http.Header) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.Endpoint+"?"+query, body)
	if err != nil {
		return Response{}, err
	}
	for _, fields := range []http.Header{c.Header, header} {
		for name, values := range fields {
			r.Header[name] = values
		}
	}
	answer, err := c.HTTP.Do(r)
	if err != nil {
		return Response{}, err
	}
	return read(answer)
}

// read reads an answer to its end.
func read(answer *http.Response) (Response, error) {
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return Response{Status: answer.StatusCode, Proto: answer.Proto, Header: answer.Header, Body: string(body)}, err
}

// Open is the content of the packet that opens a session.
type Open struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func parseOpen(packet string) (Open, error) {
	content, ok := strings.CutPrefix(packet, "0")
	if !ok {
		return Open{}, fmt.Errorf("want an open packet, got %q", packet)
	}
	var open Open
	decoder := json.NewDecoder(strings.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&open); err != nil {
		return Open{}, fmt.Errorf("open packet %q: %w", packet, err)
	}
	if open.SID == "" {
		return Open{}, fmt.Errorf("open packet without a session ID: %q", packet)
	}
	return open, nil
}
