package admin

import (
	"cmp"
	"net/http"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// emit sends an event to a namespace, or to rooms of it.
func (r *request) emit(w http.ResponseWriter) error {
	var wanted adminapi.Emit
	if err := r.action(w, &wanted, false); err != nil {
		return err
	}
	if wanted.Event == "" {
		return apiError(http.StatusBadRequest, "event is missing: it must be the name of an event")
	}
	var args packet.Args
	if len(wanted.Args) > 0 {
		var err error
		if args, err = packet.ParseArgs(wanted.Args); err != nil {
			return apiError(http.StatusBadRequest, "args: %v", err)
		}
	}
	if err := checkRooms("rooms", wanted.Rooms); err != nil {
		return err
	}
	if err := checkRooms("except", wanted.Except); err != nil {
		return err
	}
	if wanted.Rooms != nil && len(wanted.Rooms) == 0 {
		return apiError(http.StatusBadRequest, "rooms is empty: leave it out to reach everyone")
	}
	broadcast := r.namespace.To(wanted.Rooms...).Except(wanted.Except...)
	if r.alone {
		broadcast = broadcast.Here()
	}
	var flags packet.Flags
	if wanted.Volatile {
		flags = packet.Volatile
	}
	receivers, err := broadcast.EmitCounted(wanted.Event, args, flags)
	if err != nil {
		return apiError(http.StatusBadRequest, "event: %v", err)
	}
	return answer(w, http.StatusOK, adminapi.Emitted{Receivers: receivers})
}

// count tells for how many sockets of this server an event would be.
func (r *request) count(w http.ResponseWriter) error {
	var wanted adminapi.Audience
	if err := r.action(w, &wanted, true); err != nil {
		return err
	}
	if err := cmp.Or(checkRooms("rooms", wanted.Rooms), checkRooms("except", wanted.Except)); err != nil {
		return err
	}
	sockets := r.namespace.To(wanted.Rooms...).Except(wanted.Except...).Sockets()
	return answer(w, http.StatusOK, adminapi.Emitted{Receivers: len(sockets)})
}

// disconnect ends a socket, or the whole connection it is on, and tells the client that it was an
// operator. The answer shows the socket as it was.
func (r *request) disconnect(w http.ResponseWriter) error {
	var wanted adminapi.Disconnect
	if err := r.action(w, &wanted, true); err != nil {
		return err
	}
	state := socketState(r.socket)
	r.socket.Kick(wanted.Close)
	return answer(w, http.StatusOK, state)
}

// disconnectIdentity ends all sockets of an identity, in a namespace or in all of the hub's.
func (r *request) disconnectIdentity(w http.ResponseWriter) error {
	var wanted adminapi.DisconnectIdentity
	if err := r.action(w, &wanted, false); err != nil {
		return err
	}
	if err := checkIdentity(wanted.Identity); err != nil {
		return err
	}
	namespaces := []*streaming.Namespace{r.namespace}
	if r.namespace == nil {
		namespaces = namespacesOf(r.server)
	}
	return answer(w, http.StatusOK, adminapi.Disconnected{
		Sockets: streaming.KickIdentity(namespaces, wanted.Identity, wanted.Close),
	})
}

// join puts a socket into rooms. The answer shows the socket as it is then.
func (r *request) join(w http.ResponseWriter) error {
	return r.changeRooms(w, r.socket.Admit)
}

// leave takes a socket out of rooms. The answer shows the socket as it is then.
func (r *request) leave(w http.ResponseWriter) error {
	return r.changeRooms(w, r.socket.Leave)
}

// changeRooms changes the rooms of a socket that is still there.
func (r *request) changeRooms(w http.ResponseWriter, change func(...string)) error {
	var wanted adminapi.RoomNames
	if err := r.action(w, &wanted, false); err != nil {
		return err
	}
	if len(wanted.Rooms) == 0 {
		return apiError(http.StatusBadRequest, "rooms is missing: it must list at least one room")
	}
	if err := checkRooms("rooms", wanted.Rooms); err != nil {
		return err
	}
	for _, room := range wanted.Rooms {
		if prefix := r.socket.Namespace().OwnRooms(room); prefix != "" {
			return apiError(http.StatusForbidden, "rooms: %q cannot be joined or left here: an event set of the namespace %q "+
				"alone says who is in its rooms, which begin with %q; to take a client out, disconnect its socket",
				shortened(room), r.socket.Namespace().Name(), prefix)
		}
	}
	change(wanted.Rooms...)
	if !r.socket.Connected() {
		return apiError(http.StatusNotFound, "the socket %q has disconnected", r.socket.ID())
	}
	return answer(w, http.StatusOK, socketState(r.socket))
}
