package admin

import (
	"net/http"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// listSockets lists the sockets of a namespace, or of all of the hub's.
func (r *request) listSockets(w http.ResponseWriter) error {
	query, err := r.query("limit", "after", "room", "identity", "slow")
	if err != nil {
		return err
	}
	after, limit, err := pageOf(query)
	if err != nil {
		return err
	}
	slow, err := flag(query, "slow")
	if err != nil {
		return err
	}
	if query.Has("room") && query.Get("room") == "" {
		return apiError(http.StatusBadRequest, "room is empty: it must be the name of a room")
	}
	if query.Has("identity") {
		if err := checkIdentity(query.Get("identity")); err != nil {
			return err
		}
	}
	search := streaming.SocketQuery{
		Room: query.Get("room"), Identity: query.Get("identity"), Slow: slow, After: after, Limit: limit,
	}
	if r.namespace != nil {
		search.Namespaces = []*streaming.Namespace{r.namespace}
	} else {
		search.Namespaces = namespacesOf(r.server)
	}
	sockets, more := streaming.SocketPage(search)
	page := adminapi.Sockets{Sockets: []adminapi.Socket{}}
	for _, socket := range sockets {
		page.Sockets = append(page.Sockets, socketState(socket))
	}
	if more {
		page.Next = sockets[len(sockets)-1].ID()
	}
	return answer(w, http.StatusOK, page)
}

func (r *request) showSocket(w http.ResponseWriter) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, socketState(r.socket))
}

// socketState returns what the API tells of a socket. The id is the socket's, which others in its
// namespace may know; the session's is a credential and stays here.
func socketState(socket *streaming.Socket) adminapi.Socket {
	state := socket.State()
	rooms := append([]string{}, state.Rooms...)
	node := ""
	if clustered, _ := socket.Namespace().Clustered(); clustered != nil {
		node = clustered.Node()
	}
	return adminapi.Socket{
		ID:             state.ID,
		Node:           node,
		Namespace:      state.Namespace,
		Transport:      string(state.Transport),
		Protocol:       int(state.Revision),
		Address:        state.Handshake.RemoteAddr,
		ConnectedSince: state.Handshake.Time.UTC(),
		Identity:       state.Identity,
		Rooms:          rooms[:min(len(rooms), adminapi.MaxListedRooms)],
		RoomCount:      len(rooms),
		QueuedBytes:    state.QueuedBytes,
		Slow:           state.Slow,
		MessagesIn:     state.Counts.MessagesIn,
		MessagesOut:    state.Counts.MessagesOut,
		BytesIn:        state.Counts.BytesIn,
		BytesOut:       state.Counts.BytesOut,
	}
}
