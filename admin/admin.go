// Package admin is the part of Caddy's admin API that shows the hubs and their sockets, and acts on
// them.
package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// root is what all paths of the API begin with.
const root = "/socketio/"

// Admin is the module of Caddy's admin API. It is there wherever the admin endpoint is, and
// protected as that is: by where it listens, the host and the origin, not by a password.
type Admin struct {
	// find returns the name and the server of the hub that a name stands for, or nil, and names lists
	// those there are. They are asked for each request, since hubs come and go with configs.
	find  func(name string) (string, *streaming.Server)
	names func() []string
}

// CaddyModule returns the Caddy module information.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.socketio_stream",
		New: func() caddy.Module { return &Admin{find: hub.Resolve, names: hubNames} },
	}
}

// hubNames lists the hubs of the process in order.
func hubNames() (names []string) {
	for name := range hub.All() {
		names = append(names, name)
	}
	return names
}

// Routes returns the routes of the admin API.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: root, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// The beginnings of paths. What is in braces is a name.
const (
	hubPath       = "hubs/{hub}"
	namespacePath = hubPath + "/namespaces/{namespace}"
)

// route is one path and method of the API.
type route struct {
	method string
	path   string
	serve  func(*request, http.ResponseWriter) error
	// across is how the answers of all servers of a cluster become one. It is nil for what is asked of one server.
	across across
}

var routes = []route{
	{http.MethodGet, "live", (*request).live, nil},
	{http.MethodGet, "ready", (*request).ready, nil},
	{http.MethodGet, "hubs", (*request).listHubs, nil},
	{http.MethodGet, hubPath, (*request).showHub, nil},
	{http.MethodGet, hubPath + "/nodes", (*request).listNodes, nil},
	{http.MethodGet, hubPath + "/tail", (*request).tail, nil},
	{http.MethodPost, hubPath + "/disconnect", (*request).disconnectIdentity, sumDisconnected},
	{http.MethodGet, hubPath + "/sockets", (*request).listSockets, mergeSockets},
	{http.MethodGet, hubPath + "/sockets/{socket}", (*request).showSocket, theOne},
	{http.MethodPost, hubPath + "/sockets/{socket}/disconnect", (*request).disconnect, theOne},
	{http.MethodPost, hubPath + "/sockets/{socket}/join", (*request).join, theOne},
	{http.MethodPost, hubPath + "/sockets/{socket}/leave", (*request).leave, theOne},
	{http.MethodGet, hubPath + "/namespaces", (*request).listNamespaces, nil},
	{http.MethodGet, namespacePath, (*request).showNamespace, nil},
	{http.MethodPost, namespacePath + "/disconnect", (*request).disconnectIdentity, sumDisconnected},
	{http.MethodGet, namespacePath + "/rooms", (*request).listRooms, mergeRooms},
	{http.MethodPost, namespacePath + "/emit", (*request).emit, sumReceivers},
	{http.MethodPost, namespacePath + "/count", (*request).count, nil},
	{http.MethodGet, namespacePath + "/sockets", (*request).listSockets, mergeSockets},
	{http.MethodGet, namespacePath + "/sockets/{socket}", (*request).showSocket, theOne},
	{http.MethodPost, namespacePath + "/sockets/{socket}/disconnect", (*request).disconnect, theOne},
	{http.MethodPost, namespacePath + "/sockets/{socket}/join", (*request).join, theOne},
	{http.MethodPost, namespacePath + "/sockets/{socket}/leave", (*request).leave, theOne},
}

// serve finds the route of a request. What it returns is answered by Caddy.
func (a *Admin) serve(w http.ResponseWriter, r *http.Request) error {
	segments, err := pathSegments(r.URL)
	if err != nil {
		return apiError(http.StatusBadRequest, "%v", err)
	}
	var allow []string
	for i := range routes {
		route := &routes[i]
		names, ok := route.match(segments)
		if !ok {
			continue
		}
		if r.Method != route.method && (r.Method != http.MethodHead || route.method != http.MethodGet) {
			allow = append(allow, route.method)
			continue
		}
		request := &request{Request: r, find: a.find, names: a.names, alone: isFromAfar(r.Context())}
		return request.do(route, names, w)
	}
	if allow == nil {
		return apiError(http.StatusNotFound, "there is nothing at %s; the API begins at %shubs",
			r.URL.EscapedPath(), root)
	}
	if slices.Contains(allow, http.MethodGet) {
		allow = append(allow, http.MethodHead)
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	return apiError(http.StatusMethodNotAllowed, "%s is not allowed here, but %s",
		r.Method, strings.Join(allow, " and "))
}

// pathSegments returns what is between the slashes of the path, behind root. A name may have
// slashes in it that are written %2F.
func pathSegments(u *url.URL) ([]string, error) {
	path := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), root), "/")
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
func (route *route) match(segments []string) (names map[string]string, ok bool) {
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

// Interface guards.
var (
	_ caddy.Module      = (*Admin)(nil)
	_ caddy.AdminRouter = (*Admin)(nil)
)
