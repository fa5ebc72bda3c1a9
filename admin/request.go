package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// request is a request with what its path names. Its methods are what the API can do.
type request struct {
	*http.Request
	find  func(name string) (string, *streaming.Server)
	names func() []string

	hub       string               // "" where the path names none
	server    *streaming.Server    // the hub's
	namespace *streaming.Namespace // nil where the path names none
	socket    *streaming.Socket    // nil where the path names none

	// alone is true for what is about this server and no others.
	alone bool
	// cluster is the hub's, and question what its other servers are asked, where they are.
	cluster  cluster
	question question
}

// findHub finds the hub that a name stands for.
func (r *request) findHub(name string) error {
	if r.hub, r.server = r.find(name); r.server != nil {
		return nil
	}
	if others := r.names(); name == hub.Default && len(others) > 1 {
		return apiError(http.StatusNotFound, "%q stands for the only hub there is, but %s: name one of them",
			name, listed(others))
	}
	return apiError(http.StatusNotFound, "there is no hub %q; %s", name, listed(r.names()))
}

// resolve finds what the names in the path stand for, below the hub.
func (r *request) resolve(names map[string]string) error {
	if segment, ok := names["{namespace}"]; ok {
		name := namespaceOf(segment)
		if r.namespace = r.server.Lookup(name); r.namespace == nil {
			var others []string
			for _, ns := range namespacesOf(r.server) {
				others = append(others, ns.Name())
			}
			return apiError(http.StatusNotFound, "the hub %q has no namespace %q; %s",
				r.hub, name, listed(others))
		}
	}
	if id, ok := names["{socket}"]; ok {
		if r.namespace != nil {
			r.socket = r.namespace.Find(id)
		} else {
			r.socket = r.server.Find(id)
		}
		if r.socket == nil {
			return apiError(http.StatusNotFound,
				"no socket has the id %q: it has disconnected, or is elsewhere", shortened(id))
		}
	}
	return nil
}

// namespacesOf lists the namespaces of a server in order.
func namespacesOf(server *streaming.Server) []*streaming.Namespace {
	list := server.Namespaces()
	slices.SortFunc(list, func(a, b *streaming.Namespace) int {
		return cmp.Compare(a.Name(), b.Name())
	})
	return list
}

// namespaceOf returns the namespace that a path segment names: the slash in front may be left out,
// and the namespace "/" has a word of its own.
func namespaceOf(segment string) string {
	switch {
	case segment == adminapi.RootSegment:
		return "/"
	case strings.HasPrefix(segment, "/"):
		return segment
	default:
		return "/" + segment
	}
}

// query returns the parameters of a request, of which each may be given once and no others at all.
func (r *request) query(known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, "the query: %v", err)
	}
	for name, given := range values {
		if !slices.Contains(known, name) {
			return nil, apiError(http.StatusBadRequest, "unknown query parameter %q: known here are %s",
				shortened(name), cmp.Or(strings.Join(known, ", "), "none"))
		}
		if len(given) > 1 {
			return nil, apiError(http.StatusBadRequest, "the query parameter %s is given %d times",
				name, len(given))
		}
	}
	return values, nil
}

// flag returns a parameter that is on when it is there, unless it says otherwise.
func flag(query url.Values, name string) (bool, error) {
	if !query.Has(name) || query.Get(name) == "" {
		return query.Has(name), nil
	}
	on, err := strconv.ParseBool(query.Get(name))
	if err != nil {
		return false, apiError(http.StatusBadRequest, "%s must be true or false, is %q",
			name, shortened(query.Get(name)))
	}
	return on, nil
}

// pageOf returns which page a query asks for.
func pageOf(query url.Values) (after string, limit int, err error) {
	limit = adminapi.DefaultLimit
	if query.Has("limit") {
		limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || limit < 1 || limit > adminapi.MaxLimit {
			return "", 0, apiError(http.StatusBadRequest, "limit must be a number from 1 to %d, is %q",
				adminapi.MaxLimit, shortened(query.Get("limit")))
		}
	}
	return query.Get("after"), limit, nil
}

// action reads what a request that changes something asks for, see decode. It has no parameters.
func (r *request) action(w http.ResponseWriter, payload any, optional bool) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return r.decode(w, payload, optional)
}

// decode reads the body of a request into payload: one JSON object of known fields. Where it may be
// left out, an empty body stands for an empty object.
func (r *request) decode(w http.ResponseWriter, payload any, optional bool) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, adminapi.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return apiError(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes",
			tooLarge.Limit)
	case err != nil:
		return apiError(http.StatusBadRequest, "reading the body: %v", err)
	case len(body) == 0 && optional:
		return nil
	}
	// A page on the web can send other types to where it may not read the answer.
	contentType := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(contentType); err != nil || kind != adminapi.JSON {
		return apiError(http.StatusUnsupportedMediaType, "the Content-Type must be %s, is %q",
			adminapi.JSON, shortened(contentType))
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' {
		return apiError(http.StatusBadRequest, "the body must be a JSON object")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(payload); err != nil {
		return apiError(http.StatusBadRequest, "the body: %v", err)
	}
	if rest := len(body) - int(decoder.InputOffset()); rest > 0 {
		return apiError(http.StatusBadRequest, "the body: %d bytes follow the JSON object", rest)
	}
	return nil
}

// checkRooms refuses rooms that nobody means.
func checkRooms(option string, rooms []string) error {
	if len(rooms) > adminapi.MaxRooms {
		return apiError(http.StatusBadRequest, "%s lists %d rooms, and may list %d",
			option, len(rooms), adminapi.MaxRooms)
	}
	for i, room := range rooms {
		if room == "" || len(room) > adminapi.MaxRoomName {
			return apiError(http.StatusBadRequest,
				"%s: the name at index %d has %d bytes, and must have 1 to %d",
				option, i, len(room), adminapi.MaxRoomName)
		}
	}
	return nil
}

// checkIdentity refuses what is nobody's identity.
func checkIdentity(id string) error {
	if id == "" || len(id) > adminapi.MaxIdentity {
		return apiError(http.StatusBadRequest,
			"identity has %d bytes, and must have 1 to %d: it is who a client is, as sockets show it",
			len(id), adminapi.MaxIdentity)
	}
	return nil
}

// apiError makes an error that Caddy answers as JSON.
func apiError(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// listed says which names there are instead.
func listed(names []string) string {
	if len(names) == 0 {
		return "there are none"
	}
	const most = 20
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	quoted := make([]string, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, strconv.Quote(name))
	}
	return "there are " + strings.Join(quoted, ", ") + more
}

// shortened cuts what somebody has sent to a length that fits into a message.
func shortened(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// answer writes payload as a line of JSON, which no cache may keep.
func answer(w http.ResponseWriter, status int, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", adminapi.JSON)
	header.Set("Content-Length", strconv.Itoa(len(body)+1))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // who is gone needs no answer
	return nil
}
