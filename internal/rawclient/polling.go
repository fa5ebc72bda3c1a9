package rawclient

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// Poller is a session on long-polling.
type Poller struct {
	// Client sends the requests.
	Client *Client
	// Open is what the server told in the handshake.
	Open Open
	// Answer is the answer to the handshake.
	Answer Response
	// Rest holds the packets that came with the open packet.
	Rest []string
}

// Handshake begins a session on long-polling.
func (c *Client) Handshake(ctx context.Context) (*Poller, error) {
	answer, err := c.Do(ctx, http.MethodGet, Query(Polling, ""), nil, nil)
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, fmt.Errorf("handshake answered %d: %s", answer.Status, answer.Body)
	}
	packets := answer.Packets()
	open, err := parseOpen(packets[0])
	if err != nil {
		return nil, err
	}
	return &Poller{Client: c, Open: open, Answer: answer, Rest: packets[1:]}, nil
}

// Query is the query of a request of this session.
func (p *Poller) Query(transport string) string { return Query(transport, p.Open.SID) }

// Get polls, and returns the answer whatever its status.
func (p *Poller) Get(ctx context.Context) (Response, error) {
	return p.Client.Do(ctx, http.MethodGet, p.Query(Polling), nil, nil)
}

// Poll polls, and returns the packets of the answer, whose status must be 200.
func (p *Poller) Poll(ctx context.Context) ([]string, error) {
	answer, err := p.Get(ctx)
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, fmt.Errorf("poll answered %d: %s", answer.Status, answer.Body)
	}
	return answer.Packets(), nil
}

// Post sends packets in one payload, and returns the answer whatever its
// status.
func (p *Poller) Post(ctx context.Context, packets ...string) (Response, error) {
	header := http.Header{"Content-Type": {"text/plain;charset=UTF-8"}}
	body := strings.NewReader(strings.Join(packets, Separator))
	return p.Client.Do(ctx, http.MethodPost, p.Query(Polling), body, header)
}

// Upgrade moves the session to a WebSocket: probe, answer, upgrade packet. No
// poll may be pending: one that is must be freed by the server, see the
// package's documentation for the single steps.
func (p *Poller) Upgrade(ctx context.Context) (*Conn, error) {
	conn, err := p.Client.Dial(ctx, p.Query(WebSocket))
	if err != nil {
		return nil, err
	}
	if err := conn.probe(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	conn.Open = p.Open
	return conn, nil
}

func (c *Conn) probe() error {
	if err := c.WriteText("2probe"); err != nil {
		return err
	}
	switch answer, err := c.ReadText(); {
	case err != nil:
		return err
	case answer != "3probe":
		return fmt.Errorf("want %q, got %q", "3probe", answer)
	}
	return c.WriteText("5")
}
