package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/presence"
)

// What is asked of a hub is answered for all servers of its cluster: each answers for itself, by the same routes,
// and what they have answered is put together. "node" in the query names one of them.

// asked is the kind of questions by which servers ask each other.
const asked = "admin"

// maxReplies is the size of all that others answer to one request.
const maxReplies = 64 << 20

// longestWait is how long others are waited for at most, whatever their adapter says: whoever asks does not wait
// for ever either.
const longestWait = 8 * time.Second

// question is what one server asks another: a request for a path below that of a hub.
type question struct {
	Method string `json:"method"`
	// Type is the content type, on which it depends whether the body is taken.
	Type  string `json:"type,omitempty"`
	Path  string `json:"path"`
	Query string `json:"query,omitempty"`
	Body  []byte `json:"body,omitempty"`
}

// reply is what it answers: as an HTTP server would.
type reply struct {
	node   string
	Status int    `json:"status"`
	Body   string `json:"body"`
	err    error
}

// Set is an event set that clients know nothing of. With it the other servers of a hub's cluster can ask this one.
type Set struct {
	// Hub is the name of the hub here.
	Hub string
	// api is nil but in tests.
	api *Admin
}

// Register implements streaming.EventSet.
func (s *Set) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	a := cmp.Or(s.api, &Admin{find: hub.Resolve, names: hubNames})
	presence.Register(n, h).Answers(asked, func(ctx context.Context, body []byte) ([]byte, error) {
		return a.answerFor(ctx, s.Hub, body)
	})
	return nil
}

type fromAfarKey struct{}

// isFromAfar reports whether another server asks, for what this one has.
func isFromAfar(ctx context.Context) bool { return ctx.Value(fromAfarKey{}) != nil }

// answerFor answers what another server asks of a hub.
func (a *Admin) answerFor(ctx context.Context, name string, body []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	target, err := url.Parse(root + join("hubs", name) + "/" + q.Path)
	if err != nil {
		return nil, err
	}
	target.RawQuery = q.Query
	r, err := http.NewRequestWithContext(context.WithValue(ctx, fromAfarKey{}, true), q.Method, target.String(), bytes.NewReader(q.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", q.Type)
	done := record(func(w http.ResponseWriter) error { return a.serve(w, r) })
	if done.err != nil {
		return nil, done.err
	}
	return json.Marshal(done)
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(p []byte) (int, error) { return w.body.Write(p) }

// record returns what something answers.
func record(serve func(http.ResponseWriter) error) reply {
	w := &recorder{header: make(http.Header), status: http.StatusOK}
	err := serve(w)
	var refusal caddy.APIError
	if errors.As(err, &refusal) {
		text, _ := json.Marshal(adminapi.Error{Error: refusal.Error()})
		return reply{Status: refusal.HTTPStatus, Body: string(text)}
	}
	return reply{Status: w.status, Body: w.body.String(), err: err}
}

// join makes a path of segments, which may have any characters in them.
func join(segments ...string) string {
	escaped := make([]string, 0, len(segments))
	for _, segment := range segments {
		escaped = append(escaped, url.PathEscape(segment))
	}
	return strings.Join(escaped, "/")
}

// nodeOf returns the name of a server in its cluster, or "" where it has none.
func nodeOf(server *streaming.Server) string {
	for _, ns := range server.Namespaces() {
		if clustered, _ := ns.Clustered(); clustered != nil {
			return clustered.Node()
		}
	}
	return ""
}

// peer is another server of a hub's cluster, and a namespace that both have.
type peer struct {
	presence.Node
	peers *presence.Peers
}

// cluster is a hub's cluster, as this server knows it.
type cluster struct {
	// node and host are the names of this server and of its machine. They are empty where there is no cluster.
	node, host string
	peers      []peer
	// away is why others are not reached, nil where they are. Which there are may not be known then.
	away error
}

// clusterOf returns the cluster of a hub. Where this server has just come to it, that waits a moment.
func clusterOf(ctx context.Context, server *streaming.Server) (c cluster) {
	for _, ns := range namespacesOf(server) {
		clustered, away := ns.Clustered()
		if clustered == nil {
			continue
		}
		peers := presence.Of(ns)
		peers.Settle(ctx)
		c.node, c.host = clustered.Node(), peers.Host()
		if away != nil {
			c.away = away
		}
		for _, node := range peers.Nodes() {
			if !slices.ContainsFunc(c.peers, func(p peer) bool { return p.Name == node.Name }) {
				c.peers = append(c.peers, peer{node, peers})
			}
		}
	}
	slices.SortFunc(c.peers, func(a, b peer) int { return cmp.Compare(a.Name, b.Name) })
	return c
}

// ask asks a server.
func (p peer) ask(ctx context.Context, q question) reply {
	body, err := json.Marshal(q)
	if err != nil {
		return reply{node: p.Name, err: err}
	}
	answer, err := p.peers.Ask(ctx, p.Name, asked, body)
	done := reply{node: p.Name, err: err}
	if err == nil {
		done.err = json.Unmarshal(answer, &done)
	}
	if done.err == nil && (done.Status < 200 || done.Status > 599) {
		done.err = errors.New("it has answered something else")
	}
	return done
}

// ask asks all other servers at the same time. Those that have ended meanwhile have nothing to say, and where
// others are not reached there is an error without a name.
func (c cluster) ask(ctx context.Context, q question) []reply {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	if c.away != nil {
		return []reply{{err: fmt.Errorf("other servers are not reached: %w", c.away)}}
	}
	replies := make([]reply, len(c.peers))
	var (
		all  sync.WaitGroup
		kept atomic.Int64
	)
	for i, p := range c.peers {
		all.Go(func() {
			one := p.ask(ctx, q)
			if kept.Add(int64(len(one.Body))) > maxReplies {
				one = reply{node: p.Name, err: errors.New("all servers together have answered too much")}
			}
			replies[i] = one
		})
	}
	all.Wait()
	return slices.DeleteFunc(replies, func(r reply) bool {
		return errors.Is(r.err, presence.ErrGone) || errors.Is(r.err, presence.ErrUnknown)
	})
}

// across makes one answer of this server's own and those of all others.
type across func(r *request, own reply) (reply, error)

// do answers a request: for one server, or for all of the cluster.
func (r *request) do(route *route, names map[string]string, w http.ResponseWriter) error {
	if name, ok := names["{hub}"]; ok {
		if err := r.findHub(name); err != nil {
			return err
		}
	}
	one, err := r.chooseNode()
	if err != nil {
		return err
	}
	serve := func(w http.ResponseWriter) error {
		if err := r.resolve(names); err != nil {
			return err
		}
		return route.serve(r, w)
	}
	if one == nil {
		if r.alone || route.across == nil {
			return serve(w)
		}
		if r.cluster = clusterOf(r.Context(), r.server); len(r.cluster.peers) == 0 && r.cluster.away == nil {
			return serve(w)
		}
	}
	if err := r.ask(w); err != nil {
		return err
	}
	if one != nil {
		ctx, cancel := context.WithTimeout(r.Context(), longestWait)
		defer cancel()
		answer := one.ask(ctx, r.question)
		if answer.err != nil {
			return apiError(http.StatusGatewayTimeout, "node %q: %v", one.Name, answer.err)
		}
		return answer.write(w)
	}
	own := record(serve)
	own.node = r.cluster.node
	if own.err != nil {
		return own.err
	}
	if own.Status != http.StatusOK && own.Status != http.StatusNotFound {
		return own.write(w)
	}
	merged, err := route.across(r, own)
	if err != nil {
		return err
	}
	return merged.write(w)
}

// ask makes a question of the request.
func (r *request) ask(w http.ResponseWriter) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, adminapi.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return apiError(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case err != nil:
		return apiError(http.StatusBadRequest, "reading the body: %v", err)
	}
	segments, err := pathSegments(r.URL)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.question = question{
		Method: r.Method, Type: r.Header.Get("Content-Type"), Path: join(segments[2:]...), Query: r.URL.RawQuery, Body: body,
	}
	return nil
}

// chooseNode takes the node out of the query. It returns nil where that is this server, or where none is named.
func (r *request) chooseNode() (*peer, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !query.Has("node") || r.alone || r.server == nil {
		return nil, nil //nolint:nilerr // the route says what is wrong with the query
	}
	if len(query["node"]) > 1 {
		return nil, apiError(http.StatusBadRequest, "the query parameter node is given %d times", len(query["node"]))
	}
	wanted := query.Get("node")
	query.Del("node")
	address := *r.URL
	address.RawQuery = query.Encode()
	r.Request = r.WithContext(r.Context())
	r.URL = &address
	c := clusterOf(r.Context(), r.server)
	if c.node == "" {
		return nil, apiError(http.StatusNotFound, "the hub %q has no node %q: it is not one of a cluster", r.hub, shortened(wanted))
	}
	if wanted == c.node {
		r.alone = true
		return nil, nil
	}
	known := []string{c.node}
	for _, p := range c.peers {
		if p.Name == wanted && c.away == nil {
			return &p, nil
		}
		known = append(known, p.Name)
	}
	if c.away != nil {
		return nil, apiError(http.StatusGatewayTimeout, "node %q: other servers are not reached: %v", shortened(wanted), c.away)
	}
	return nil, apiError(http.StatusNotFound, "the hub %q has no node %q; %s", r.hub, shortened(wanted), listed(known))
}

// write answers with what was recorded.
func (r reply) write(w http.ResponseWriter) error {
	if r.Status >= http.StatusBadRequest {
		var refused adminapi.Error
		if json.Unmarshal([]byte(r.Body), &refused) == nil && refused.Error != "" {
			return apiError(r.Status, "%s", refused.Error)
		}
	}
	return answer(w, r.Status, json.RawMessage(r.Body))
}
