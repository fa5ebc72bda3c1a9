package publish

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Bounds of a list of sockets, and how long other servers of a cluster are waited for.
const (
	defaultLimit = 100
	maxLimit     = 1000
	patience     = 5 * time.Second
)

// present is the answer to who is there.
type present struct {
	Sockets []presentSocket `json:"sockets"`
	// Count is how many there are on all pages.
	Count int `json:"count"`
	// Next is what the next page comes after, or "" on the last one.
	Next string `json:"next,omitempty"`
}

type presentSocket struct {
	ID       string `json:"id"`
	Identity string `json:"identity,omitempty"`
}

// listSockets lists who is in a room, or in a namespace, of all servers of a cluster.
func listSockets(r *http.Request, server *streaming.Server) (any, error) {
	query, err := queryOf(r, "namespace", "room", "after", "limit")
	if err != nil {
		return nil, err
	}
	n, err := namespaceOf(server, query.Get("namespace"))
	if err != nil {
		return nil, err
	}
	limit := defaultLimit
	if query.Has("limit") {
		if limit, err = strconv.Atoi(query.Get("limit")); err != nil || limit < 1 || limit > maxLimit {
			return nil, bad("limit must be a number from 1 to %d", maxLimit)
		}
	}
	to := n.Everyone()
	if query.Has("room") {
		if err := checkRooms("room", query["room"]); err != nil {
			return nil, err
		}
		to = n.To(query.Get("room"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	sockets, err := to.FetchSockets(ctx)
	if err != nil {
		return nil, refused(http.StatusServiceUnavailable, "%v", err)
	}
	slices.SortFunc(sockets, func(a, b streaming.SocketState) int { return cmp.Compare(a.ID, b.ID) })
	answer := present{Sockets: []presentSocket{}, Count: len(sockets)}
	for _, s := range sockets {
		if s.ID <= query.Get("after") {
			continue
		}
		if len(answer.Sockets) == limit {
			answer.Next = answer.Sockets[limit-1].ID
			break
		}
		answer.Sockets = append(answer.Sockets, presentSocket{ID: s.ID, Identity: s.Identity})
	}
	return answer, nil
}

// disconnected is the answer to the end of an identity's sockets.
type disconnected struct {
	Sockets int `json:"disconnected"`
}

// disconnect ends the sockets of an identity, in a namespace or in all.
func disconnect(r *http.Request, server *streaming.Server) (any, error) {
	query, err := queryOf(r, "identity", "namespace")
	if err != nil {
		return nil, err
	}
	identity := query.Get("identity")
	if identity == "" || len(identity) > maxName {
		return nil, bad("identity has %d bytes, and must have 1 to %d", len(identity), maxName)
	}
	namespaces := server.Namespaces()
	if query.Has("namespace") {
		n, err := namespaceOf(server, query.Get("namespace"))
		if err != nil {
			return nil, err
		}
		namespaces = []*streaming.Namespace{n}
	}
	return disconnected{streaming.KickIdentity(namespaces, identity, true)}, nil
}

// queryOf returns the parameters of a request, each of which may be given once and no others at all.
func queryOf(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad("the query: %v", err)
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			return nil, bad("there is no query parameter %.64q here: there is %v", name, known)
		}
		if len(values) > 1 {
			return nil, bad("the query parameter %s is given %d times", name, len(values))
		}
	}
	return query, nil
}
