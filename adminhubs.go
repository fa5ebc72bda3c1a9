package socketiostream

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// namespaces lists the hub's namespaces in order.
func (hub *hub) namespaces() []*streaming.Namespace {
	list := hub.server.Namespaces()
	slices.SortFunc(list, func(a, b *streaming.Namespace) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

// live answers as long as there is somebody to answer.
func (a *Admin) live(w http.ResponseWriter, r *adminRequest) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, adminapi.Check{Status: "live"})
}

// ready tells whether clients are welcome: there is a hub, and the process is not going down.
func (a *Admin) ready(w http.ResponseWriter, r *adminRequest) error {
	if _, err := r.query(); err != nil {
		return err
	}
	if exiting() {
		w.Header().Set("Retry-After", retryAfter)
		return answer(w, http.StatusServiceUnavailable, adminapi.Check{Status: "stopping"})
	}
	names := a.hubNames()
	if len(names) == 0 {
		return answer(w, http.StatusServiceUnavailable, adminapi.Check{Status: "no hub"})
	}
	return answer(w, http.StatusOK, adminapi.Check{Status: "ready", Hubs: names})
}

func (a *Admin) listHubs(w http.ResponseWriter, r *adminRequest) error {
	query, err := r.query("limit", "after")
	if err != nil {
		return err
	}
	after, limit, err := pageOf(query)
	if err != nil {
		return err
	}
	page := adminapi.Hubs{Hubs: []adminapi.Hub{}}
	for _, name := range a.hubNames() {
		if name <= after {
			continue
		}
		if len(page.Hubs) == limit {
			page.Next = page.Hubs[limit-1].Name
			break
		}
		// One that has just ended is no longer there.
		if hub := a.hub(name); hub != nil {
			page.Hubs = append(page.Hubs, hub.state())
		}
	}
	return answer(w, http.StatusOK, page)
}

func (a *Admin) showHub(w http.ResponseWriter, r *adminRequest) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, r.hub.state())
}

func (a *Admin) listNamespaces(w http.ResponseWriter, r *adminRequest) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, struct {
		Namespaces []adminapi.Namespace `json:"namespaces"`
	}{r.hub.state().Namespaces})
}

func (a *Admin) showNamespace(w http.ResponseWriter, r *adminRequest) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, namespaceState(r.namespace))
}

// state returns what the API tells of a hub.
func (hub *hub) state() adminapi.Hub {
	stats, traffic := hub.server.Stats(), hub.traffic()
	state := adminapi.Hub{
		Name:          hub.name,
		Connections:   hub.server.Connections(),
		BufferedBytes: stats.BufferedBytes,
		Namespaces:    []adminapi.Namespace{},
		Counters: adminapi.Counters{
			SlowClients:     stats.SlowClients,
			VolatileDropped: stats.VolatileDropped,
			Refused:         stats.RefusedForSessions + stats.RefusedForBuffer,
			EventsIn:        &traffic.eventsIn,
			EventsOut:       &traffic.eventsOut,
			Deliveries:      &traffic.deliveries,
			BytesIn:         &traffic.bytesIn,
			BytesOut:        &traffic.bytesOut,
		},
	}
	for _, ns := range hub.namespaces() {
		namespace := namespaceState(ns)
		state.Sockets += namespace.Sockets
		state.Rooms += namespace.Rooms
		state.Namespaces = append(state.Namespaces, namespace)
	}
	return state
}

func namespaceState(ns *streaming.Namespace) adminapi.Namespace {
	sockets, rooms := ns.Size()
	return adminapi.Namespace{Name: ns.Name(), Sockets: sockets, Rooms: rooms}
}

func (a *Admin) listRooms(w http.ResponseWriter, r *adminRequest) error {
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
