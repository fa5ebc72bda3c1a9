package socketiostream

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
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// adminPath is what all paths of the admin API begin with.
const adminPath = "/socketio/"

// Admin is the part of Caddy's admin API that shows the hubs and their sockets, and acts on them. It is there wherever the
// admin endpoint is, and protected as that is: by where it listens, the host and the origin, not by a password.
type Admin struct {
	// hub returns the hub of that name, or nil, and hubNames lists those there are. They are looked up for each request,
	// since hubs come and go with configs.
	hub      func(name string) *hub
	hubNames func() []string
}

// CaddyModule returns the Caddy module information.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.socketio_stream",
		New: func() caddy.Module { return &Admin{hub: findHub, hubNames: hubNames} },
	}
}

// Routes returns the routes of the admin API.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// adminRequest is a request with what its path names.
type adminRequest struct {
	*http.Request
	hub       *hub
	namespace *streaming.Namespace // nil where the path names none
	socket    *streaming.Socket
}

// adminRoute is one path and method of the API. Of the segments of its path, those in braces are names.
type adminRoute struct {
	method string
	path   string
	serve  func(*Admin, http.ResponseWriter, *adminRequest) error
}

var adminRoutes = []adminRoute{
	{http.MethodGet, "live", (*Admin).live},
	{http.MethodGet, "ready", (*Admin).ready},
	{http.MethodGet, "hubs", (*Admin).listHubs},
	{http.MethodGet, "hubs/{hub}", (*Admin).showHub},
	{http.MethodGet, "hubs/{hub}/tail", (*Admin).tail},
	{http.MethodPost, "hubs/{hub}/disconnect", (*Admin).disconnectIdentity},
	{http.MethodGet, "hubs/{hub}/sockets", (*Admin).listSockets},
	{http.MethodGet, "hubs/{hub}/sockets/{socket}", (*Admin).showSocket},
	{http.MethodPost, "hubs/{hub}/sockets/{socket}/disconnect", (*Admin).disconnect},
	{http.MethodPost, "hubs/{hub}/sockets/{socket}/join", (*Admin).join},
	{http.MethodPost, "hubs/{hub}/sockets/{socket}/leave", (*Admin).leave},
	{http.MethodGet, "hubs/{hub}/namespaces", (*Admin).listNamespaces},
	{http.MethodGet, "hubs/{hub}/namespaces/{namespace}", (*Admin).showNamespace},
	{http.MethodPost, "hubs/{hub}/namespaces/{namespace}/disconnect", (*Admin).disconnectIdentity},
	{http.MethodGet, "hubs/{hub}/namespaces/{namespace}/rooms", (*Admin).listRooms},
	{http.MethodPost, "hubs/{hub}/namespaces/{namespace}/emit", (*Admin).emit},
	{http.MethodGet, "hubs/{hub}/namespaces/{namespace}/sockets", (*Admin).listSockets},
	{http.MethodGet, "hubs/{hub}/namespaces/{namespace}/sockets/{socket}", (*Admin).showSocket},
	{http.MethodPost, "hubs/{hub}/namespaces/{namespace}/sockets/{socket}/disconnect", (*Admin).disconnect},
	{http.MethodPost, "hubs/{hub}/namespaces/{namespace}/sockets/{socket}/join", (*Admin).join},
	{http.MethodPost, "hubs/{hub}/namespaces/{namespace}/sockets/{socket}/leave", (*Admin).leave},
}

// serve finds the route of a request. What it returns is answered by Caddy.
func (a *Admin) serve(w http.ResponseWriter, r *http.Request) error {
	segments, err := pathSegments(r.URL)
	if err != nil {
		return adminError(http.StatusBadRequest, "%v", err)
	}
	var allow []string
	for _, route := range adminRoutes {
		names, ok := route.match(segments)
		if !ok {
			continue
		}
		if r.Method != route.method && (r.Method != http.MethodHead || route.method != http.MethodGet) {
			allow = append(allow, route.method)
			continue
		}
		request, err := a.resolve(r, names)
		if err != nil {
			return err
		}
		return route.serve(a, w, request)
	}
	if allow == nil {
		return adminError(http.StatusNotFound, "there is nothing at %s; the API begins at %shubs", r.URL.EscapedPath(), adminPath)
	}
	if slices.Contains(allow, http.MethodGet) {
		allow = append(allow, http.MethodHead)
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	return adminError(http.StatusMethodNotAllowed, "%s is not allowed here, but %s", r.Method, strings.Join(allow, " and "))
}

// pathSegments returns what is between the slashes of the path, behind adminPath. A name may have slashes in it that are
// written %2F.
func pathSegments(u *url.URL) ([]string, error) {
	path := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), adminPath), "/")
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		name, err := url.PathUnescape(segment)
		if err != nil {
			return nil, fmt.Errorf("the path: %w", err)
		}
		segments[i] = name
	}
	return segments, nil
}

// match compares the route's path and returns what stands for its names.
func (route *adminRoute) match(segments []string) (names map[string]string, ok bool) {
	pattern := strings.Split(route.path, "/")
	if len(pattern) != len(segments) {
		return nil, false
	}
	names = make(map[string]string)
	for i, wanted := range pattern {
		if strings.HasPrefix(wanted, "{") {
			names[wanted] = segments[i]
		} else if wanted != segments[i] {
			return nil, false
		}
	}
	return names, true
}

// resolve finds what the names in a path stand for.
func (a *Admin) resolve(r *http.Request, names map[string]string) (*adminRequest, error) {
	request := &adminRequest{Request: r}
	if name, ok := names["{hub}"]; ok {
		if request.hub = a.hub(name); request.hub == nil {
			return nil, adminError(http.StatusNotFound, "there is no hub %q; %s", name, listed(a.hubNames()))
		}
	}
	if segment, ok := names["{namespace}"]; ok {
		name := namespaceOf(segment)
		if request.namespace = request.hub.server.Lookup(name); request.namespace == nil {
			var others []string
			for _, ns := range request.hub.namespaces() {
				others = append(others, ns.Name())
			}
			return nil, adminError(http.StatusNotFound, "the hub %q has no namespace %q; %s", request.hub.name, name, listed(others))
		}
	}
	if id, ok := names["{socket}"]; ok {
		if request.namespace != nil {
			request.socket = request.namespace.Find(id)
		} else {
			request.socket = request.hub.server.Find(id)
		}
		if request.socket == nil {
			return nil, adminError(http.StatusNotFound, "no socket has the id %q: it has disconnected, or is elsewhere", shortened(id))
		}
	}
	return request, nil
}

// namespaceOf returns the namespace that a path segment names: the slash in front may be left out, and the namespace "/"
// has a word of its own.
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

// adminError makes an error that Caddy answers as JSON.
func adminError(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
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

// query returns the parameters of a request, of which each may be given once and no others at all.
func (r *adminRequest) query(known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, adminError(http.StatusBadRequest, "the query: %v", err)
	}
	for name, given := range values {
		if !slices.Contains(known, name) {
			return nil, adminError(http.StatusBadRequest, "unknown query parameter %q: known here are %s", shortened(name), cmp.Or(strings.Join(known, ", "), "none"))
		}
		if len(given) > 1 {
			return nil, adminError(http.StatusBadRequest, "the query parameter %s is given %d times", name, len(given))
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
		return false, adminError(http.StatusBadRequest, "%s must be true or false, is %q", name, shortened(query.Get(name)))
	}
	return on, nil
}

// pageOf returns which page a query asks for.
func pageOf(query url.Values) (after string, limit int, err error) {
	limit = adminapi.DefaultLimit
	if query.Has("limit") {
		limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || limit < 1 || limit > adminapi.MaxLimit {
			return "", 0, adminError(http.StatusBadRequest, "limit must be a number from 1 to %d, is %q", adminapi.MaxLimit, shortened(query.Get("limit")))
		}
	}
	return query.Get("after"), limit, nil
}

// decode reads the body of a request into payload: one JSON object of known fields. Where it may be left out, an empty body
// stands for an empty object.
func (r *adminRequest) decode(w http.ResponseWriter, payload any, optional bool) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, adminapi.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return adminError(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case err != nil:
		return adminError(http.StatusBadRequest, "reading the body: %v", err)
	case len(body) == 0 && optional:
		return nil
	}
	// A page on the web can send other types to where it may not read the answer.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != adminapi.JSON {
		return adminError(http.StatusUnsupportedMediaType, "the Content-Type must be %s, is %q", adminapi.JSON, shortened(r.Header.Get("Content-Type")))
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' {
		return adminError(http.StatusBadRequest, "the body must be a JSON object")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(payload); err != nil {
		return adminError(http.StatusBadRequest, "the body: %v", err)
	}
	if rest := len(body) - int(decoder.InputOffset()); rest > 0 {
		return adminError(http.StatusBadRequest, "the body: %d bytes follow the JSON object", rest)
	}
	return nil
}

// Interface guards.
var (
	_ caddy.Module      = (*Admin)(nil)
	_ caddy.AdminRouter = (*Admin)(nil)
)
