package admincli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

const (
	// requestTimeout is how long an answer may take.
	requestTimeout = 10 * time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 20
)

// client asks the admin API of one Caddy.
type client struct {
	endpoint endpoint
	http     *http.Client
}

func newClient(e endpoint) *client {
	var dialer net.Dialer
	return &client{endpoint: e, http: &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, e.network, e.address)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Unreachable is the error of commands that have found no Caddy to ask.
type Unreachable struct {
	endpoint endpoint
	err      error
}

func (u *Unreachable) Error() string {
	return fmt.Sprintf("no answer from Caddy's admin endpoint at %s: %v\nIs Caddy running? --address or --config FILE say where its admin endpoint is; with \"admin off\" in its config there is none.",
		u.endpoint, u.err)
}

func (u *Unreachable) Unwrap() error { return u.err }

// refusal is an answer that says why something was not done.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

// isNotFound reports whether an error says that something is not there.
func isNotFound(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == http.StatusNotFound
}

// request sends a request and returns the answer if its status is 200.
func (c *client) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	target := "http://" + c.endpoint.host + "/socketio/" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", adminapi.JSON)
	}
	if c.endpoint.network != "unix" {
		// An admin endpoint may ask for it.
		r.Header.Set("Origin", "http://"+c.endpoint.host)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, &Unreachable{c.endpoint, err}
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		return nil, c.refused(answer)
	}
	return answer, nil
}

// refused reads why a request was refused.
func (c *client) refused(answer *http.Response) error {
	content, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	var said adminapi.Error
	if json.Unmarshal(content, &said) == nil && said.Error != "" {
		return &refusal{status: answer.StatusCode, message: "Caddy says: " + printable(said.Error)}
	}
	if answer.StatusCode == http.StatusNotFound {
		return fmt.Errorf("the Caddy at %s knows nothing of Socket.IO: it was built without this module, or with an older one", c.endpoint)
	}
	return fmt.Errorf("the admin endpoint at %s answered %s, which is not how Caddy answers", c.endpoint, answer.Status)
}

// get reads the answer to a GET.
func (c *client) get(ctx context.Context, path string, query url.Values, answer any) error {
	return c.ask(ctx, http.MethodGet, path, query, nil, answer)
}

// post reads the answer to a POST.
func (c *client) post(ctx context.Context, path string, query url.Values, body, answer any) error {
	return c.ask(ctx, http.MethodPost, path, query, body, answer)
}

func (c *client) ask(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("the answer of the admin endpoint at %s: %w", c.endpoint, err)
	}
	return nil
}

// join makes a path of segments, which may have any characters in them.
func join(segments ...string) string {
	escaped := make([]string, 0, len(segments))
	for _, segment := range segments {
		escaped = append(escaped, url.PathEscape(segment))
	}
	return strings.Join(escaped, "/")
}

// hubs lists the hubs there are, or the one that is named.
func (c *client) hubs(ctx context.Context, name string) ([]adminapi.Hub, error) {
	if name != "" {
		var hub adminapi.Hub
		err := c.get(ctx, join("hubs", name), nil, &hub)
		return []adminapi.Hub{hub}, err
	}
	hubs := []adminapi.Hub{}
	for after := ""; ; {
		var page adminapi.Hubs
		if err := c.get(ctx, "hubs", pageQuery(after, adminapi.MaxLimit), &page); err != nil {
			return nil, err
		}
		hubs = append(hubs, page.Hubs...)
		if after = page.Next; after == "" {
			return hubs, nil
		}
	}
}

// hub returns the hub that a command is about: the one that is named, or the
// only one.
func (c *client) hub(ctx context.Context, name string) (adminapi.Hub, error) {
	hubs, err := c.hubs(ctx, name)
	switch {
	case err != nil:
		return adminapi.Hub{}, err
	case len(hubs) == 0:
		return adminapi.Hub{}, errNoHub
	case len(hubs) > 1:
		names := make([]string, 0, len(hubs))
		for _, hub := range hubs {
			names = append(names, hub.Name)
		}
		return adminapi.Hub{}, fmt.Errorf("there are several hubs, so --hub must name one: %s", strings.Join(names, ", "))
	}
	return hubs[0], nil
}

// noHub is said where there is nothing to show.
const noHub = "There is no hub: no site of the running config has socketio_stream."

var errNoHub = errors.New("there is no hub: no site of the running config has socketio_stream")

func pageQuery(after string, limit int) url.Values {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if after != "" {
		query.Set("after", after)
	}
	return query
}

// namespaceName adds the slash that may be left out.
func namespaceName(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return "/" + name
}
