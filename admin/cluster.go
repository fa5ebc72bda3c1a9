package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
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

// longestWait is how long others are waited for at most, whatever their adapter says: whoever asks does not wait
// for ever either.
const longestWait = 8 * time.Second

// question is what one server asks another: a request for a path below that of a hub.
type question struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Query  string `json:"query,omitempty"`
	Body   []byte `json:"body,omitempty"`
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

type aloneKey struct{}

// isAlone reports whether a request is about this server and no others.
func isAlone(ctx context.Context) bool { return ctx.Value(aloneKey{}) != nil }

// answerFor answers what another server asks of a hub.
func (a *Admin) answerFor(ctx context.Context, name string, body []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	if q.Path == "tail" {
		return nil, errors.New("a tail is followed where it is")
	}
	target, err := url.Parse(root + join("hubs", name) + "/" + q.Path)
	if err != nil {
		return nil, err
	}
	target.RawQuery = q.Query
	r, err := http.NewRequestWithContext(context.WithValue(ctx, aloneKey{}, true), q.Method, target.String(), bytes.NewReader(q.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", adminapi.JSON)
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
		if name := presence.Of(ns).Self().Name; name != "" {
			return name
		}
	}
	return ""
}

// peer is another server of a hub's cluster, and a namespace that both have.
type peer struct {
	presence.Node
	peers *presence.Peers
}

// peersOf lists the other servers of a hub's cluster.
func peersOf(server *streaming.Server) (list []peer) {
	for _, ns := range namespacesOf(server) {
		for _, node := range presence.Of(ns).Nodes() {
			if !slices.ContainsFunc(list, func(p peer) bool { return p.Name == node.Name }) {
				list = append(list, peer{node, presence.Of(ns)})
			}
		}
	}
	slices.SortFunc(list, func(a, b peer) int { return cmp.Compare(a.Name, b.Name) })
	return list
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

// askAll asks servers at the same time. Those that have ended meanwhile have nothing to say.
func askAll(ctx context.Context, peers []peer, q question) []reply {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	replies := make([]reply, len(peers))
	var all sync.WaitGroup
	for i, p := range peers {
		all.Go(func() { replies[i] = p.ask(ctx, q) })
	}
	all.Wait()
	return slices.DeleteFunc(replies, func(r reply) bool {
		return errors.Is(r.err, presence.ErrGone) || errors.Is(r.err, presence.ErrUnknown)
	})
}

// across makes one answer of those of all servers, of which the first is this one's own.
type across func(r *request, replies []reply) (reply, error)

// do answers a request: for one server, or for all of the cluster.
func (r *request) do(route *route, names map[string]string, w http.ResponseWriter) error {
	if err := r.chooseNode(names); err != nil {
		return err
	}
	serve := func(w http.ResponseWriter) error {
		if err := r.resolve(names); err != nil {
			return err
		}
		return route.serve(r, w)
	}
	var peers []peer
	if !r.alone && r.server != nil {
		peers = peersOf(r.server)
	}
	i := slices.IndexFunc(peers, func(p peer) bool { return p.Name == r.node })
	if len(peers) == 0 || route.across == nil && r.node == "" {
		return serve(w)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, adminapi.MaxBody+1))
	if err != nil {
		return apiError(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", adminapi.MaxBody)
	}
	segments, err := pathSegments(r.URL)
	if err != nil {
		return err
	}
	q := question{Method: r.Method, Path: join(segments[2:]...), Query: r.URL.RawQuery, Body: body}
	if r.node != "" {
		one := askAll(r.Context(), peers[i:i+1], q)
		if len(one) == 0 {
			one = []reply{{err: presence.ErrGone}}
		}
		if one[0].err != nil {
			return apiError(http.StatusGatewayTimeout, "node %q: %v", r.node, one[0].err)
		}
		return one[0].write(w)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.body = body
	own := record(serve)
	if own.err != nil {
		return own.err
	}
	own.node = nodeOf(r.server)
	if own.Status != http.StatusOK && own.Status != http.StatusNotFound {
		return own.write(w)
	}
	r.peers, r.question = peers, q
	merged, err := route.across(r, []reply{own})
	if err != nil {
		return err
	}
	return merged.write(w)
}

// others are the answers of all other servers.
func (r *request) others() []reply { return askAll(r.Context(), r.peers, r.question) }

// chooseNode takes the node out of the query, and finds the hub's cluster.
func (r *request) chooseNode(names map[string]string) error {
	name, ok := names["{hub}"]
	if !ok {
		return nil
	}
	if err := r.findHub(name); err != nil {
		return err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !query.Has("node") || r.alone {
		return nil //nolint:nilerr // the route says what is wrong with the query
	}
	if len(query["node"]) > 1 {
		return apiError(http.StatusBadRequest, "the query parameter node is given %d times", len(query["node"]))
	}
	wanted := query.Get("node")
	query.Del("node")
	address := *r.URL
	address.RawQuery = query.Encode()
	r.Request = r.WithContext(r.Context())
	r.URL = &address
	self := nodeOf(r.server)
	if wanted != "" && wanted == self {
		r.alone = true
		return nil
	}
	var known []string
	if self != "" {
		known = append(known, self)
	}
	for _, p := range peersOf(r.server) {
		if p.Name == wanted {
			r.node = wanted
			return nil
		}
		known = append(known, p.Name)
	}
	return apiError(http.StatusNotFound, "the hub %q has no node %q; %s", r.hub, shortened(wanted), listed(known))
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
