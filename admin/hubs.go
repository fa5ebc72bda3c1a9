package admin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// retryAfter is how many seconds a load balancer is asked to wait once the process is going down.
const retryAfter = "5"

// exiting reports whether the process is going down; a variable so that a test can tell it so.
var exiting = caddy.Exiting

// live answers as long as there is somebody to answer.
func (r *request) live(w http.ResponseWriter) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, adminapi.Check{Status: "live"})
}

// ready tells whether clients are welcome: there is a hub, the process is not going down, and all hubs
// reach the others of their clusters.
func (r *request) ready(w http.ResponseWriter) error {
	if _, err := r.query(); err != nil {
		return err
	}
	if exiting() {
		w.Header().Set("Retry-After", retryAfter)
		return answer(w, http.StatusServiceUnavailable, adminapi.Check{Status: "stopping"})
	}
	names := r.names()
	if len(names) == 0 {
		return answer(w, http.StatusServiceUnavailable, adminapi.Check{Status: "no hub"})
	}
	for _, name := range names {
		if _, server := r.find(name); server != nil {
			if err := server.Health(); err != nil {
				return answer(w, http.StatusServiceUnavailable, adminapi.Check{
					Status: "cut off", Hubs: names, Reason: "hub " + name + ": " + err.Error(),
				})
			}
		}
	}
	return answer(w, http.StatusOK, adminapi.Check{Status: "ready", Hubs: names})
}

func (r *request) listHubs(w http.ResponseWriter) error {
	query, err := r.query("limit", "after")
	if err != nil {
		return err
	}
	after, limit, err := pageOf(query)
	if err != nil {
		return err
	}
	page := adminapi.Hubs{Hubs: []adminapi.Hub{}}
	for _, name := range r.names() {
		if name <= after {
			continue
		}
		if len(page.Hubs) == limit {
			page.Next = page.Hubs[limit-1].Name
			break
		}
		// One that has just ended is no longer there.
		if _, server := r.find(name); server != nil {
			page.Hubs = append(page.Hubs, hubState(name, server))
		}
	}
	return answer(w, http.StatusOK, page)
}

func (r *request) showHub(w http.ResponseWriter) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, hubState(r.hub, r.server))
}

func (r *request) listNamespaces(w http.ResponseWriter) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, struct {
		Namespaces []adminapi.Namespace `json:"namespaces"`
	}{hubState(r.hub, r.server).Namespaces})
}

func (r *request) showNamespace(w http.ResponseWriter) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, namespaceState(r.namespace))
}

// hubState returns what the API tells of a hub.
func hubState(name string, server *streaming.Server) adminapi.Hub {
	m := server.Metrics()
	state := adminapi.Hub{
		Name:          name,
		Node:          nodeOf(server),
		Connections:   m.Engine.Sessions,
		Waiting:       &m.Auth.Unjudged,
		BufferedBytes: m.Engine.BufferedBytes,
		Namespaces:    []adminapi.Namespace{},
		Counters:      counters(m),
	}
	for _, ns := range namespacesOf(server) {
		namespace := namespaceState(ns)
		state.Sockets += namespace.Sockets
		state.Rooms += namespace.Rooms
		state.Namespaces = append(state.Namespaces, namespace)
	}
	return state
}

// counters adds up what is counted for namespaces and transports.
func counters(m streaming.Metrics) adminapi.Counters {
	var eventsIn, eventsOut, deliveries, bytesIn, bytesOut int64
	for _, n := range m.Namespaces {
		eventsIn += n.EventsIn
		eventsOut += n.EventsOut
	}
	for _, t := range m.Engine.Transports {
		deliveries += t.Deliveries
		bytesIn += t.ReceivedBytes
		bytesOut += t.SentBytes
	}
	return adminapi.Counters{
		SlowClients:     m.Engine.SlowClients,
		VolatileDropped: m.Engine.VolatileDropped,
		Refused:         m.Engine.TurnedAway(),
		EventsIn:        &eventsIn,
		EventsOut:       &eventsOut,
		Deliveries:      &deliveries,
		BytesIn:         &bytesIn,
		BytesOut:        &bytesOut,
	}
}

func namespaceState(ns *streaming.Namespace) adminapi.Namespace {
	sockets, rooms := ns.Size()
	return adminapi.Namespace{Name: ns.Name(), Sockets: sockets, Rooms: rooms}
}

func (r *request) listRooms(w http.ResponseWriter) error {
	query, err := r.query("limit", "after")
	if err != nil {
		return err
	}
	after, limit, err := pageOf(query)
	if err != nil {
		return err
	}
	rooms, more := r.namespace.RoomPage(after, limit)
	page := adminapi.Rooms{Rooms: []adminapi.Room{}}
	for _, room := range rooms {
		page.Rooms = append(page.Rooms, adminapi.Room{Name: room.Name, Sockets: room.Sockets})
	}
	if more {
		page.Next = rooms[len(rooms)-1].Name
	}
	return answer(w, http.StatusOK, page)
}
