package socketiostream

import (
	"net/http"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// emit sends an event to a namespace, or to rooms of it.
func (a *Admin) emit(w http.ResponseWriter, r *adminRequest) error {
	var wanted adminapi.Emit
	if err := r.action(w, &wanted, false); err != nil {
		return err
	}
	if wanted.Event == "" {
		return adminError(http.StatusBadRequest, "event is missing: it must be the name of an event")
	}
	var args packet.Args
	if len(wanted.Args) > 0 {
		var err error
		if args, err = packet.ParseArgs(wanted.Args); err != nil {
			return adminError(http.StatusBadRequest, "args: %v", err)
		}
	}
	if err := checkRooms("rooms", wanted.Rooms); err != nil {
		return err
	}
	if err := checkRooms("except", wanted.Except); err != nil {
		return err
	}
	if wanted.Rooms != nil && len(wanted.Rooms) == 0 {
		// Who has gathered rooms and found none does not mean everyone.
		return adminError(http.StatusBadRequest, "rooms is empty: leave it out to reach everyone")
	}
	broadcast := r.namespace.To(wanted.Rooms...).Except(wanted.Except...)
	if wanted.Volatile {
		broadcast = broadcast.Volatile()
	}
	receivers := len(broadcast.Sockets())
	if err := broadcast.Emit(wanted.Event, args); err != nil {
		return adminError(http.StatusBadRequest, "event: %v", err)
	}
	return answer(w, http.StatusOK, adminapi.Emitted{Receivers: receivers})
}

// disconnect ends a socket, or the whole connection it is on. The answer shows the socket as it was.
func (a *Admin) disconnect(w http.ResponseWriter, r *adminRequest) error {
	var wanted adminapi.Disconnect
	if err := r.action(w, &wanted, true); err != nil {
		return err
	}
	state := socketState(r.socket)
	r.socket.Disconnect(wanted.Close)
	return answer(w, http.StatusOK, state)
}

// disconnectIdentity ends all sockets of an identity, in a namespace or in all of the hub's.
func (a *Admin) disconnectIdentity(w http.ResponseWriter, r *adminRequest) error {
	var wanted adminapi.DisconnectIdentity
	if err := r.action(w, &wanted, false); err != nil {
		return err
	}
	if err := checkIdentity(wanted.Identity); err != nil {
		return err
	}
	namespaces := []*streaming.Namespace{r.namespace}
	if r.namespace == nil {
		namespaces = r.hub.namespaces()
	}
	return answer(w, http.StatusOK, adminapi.Disconnected{
		Sockets: streaming.DisconnectIdentity(namespaces, wanted.Identity, wanted.Close),
	})
}

// checkIdentity refuses what is nobody's identity.
func checkIdentity(id string) error {
	if id == "" || len(id) > adminapi.MaxIdentity {
		return adminError(http.StatusBadRequest, "identity has %d bytes, and must have 1 to %d: it is who a client is, as sockets show it", len(id), adminapi.MaxIdentity)
	}
	return nil
}

// join puts a socket into rooms. The answer shows the socket as it is then.
func (a *Admin) join(w http.ResponseWriter, r *adminRequest) error {
	return a.changeRooms(w, r, r.socket.Admit)
}

// leave takes a socket out of rooms. The answer shows the socket as it is then.
func (a *Admin) leave(w http.ResponseWriter, r *adminRequest) error {
	return a.changeRooms(w, r, r.socket.Leave)
}

func (a *Admin) changeRooms(w http.ResponseWriter, r *adminRequest, change func(...string)) error {
	var wanted adminapi.RoomNames
	if err := r.action(w, &wanted, false); err != nil {
		return err
	}
	if len(wanted.Rooms) == 0 {
		return adminError(http.StatusBadRequest, "rooms is missing: it must list at least one room")
	}
	if err := checkRooms("rooms", wanted.Rooms); err != nil {
		return err
	}
	change(wanted.Rooms...)
	if !r.socket.Connected() {
		return adminError(http.StatusNotFound, "the socket %q has disconnected", r.socket.ID())
	}
	return answer(w, http.StatusOK, socketState(r.socket))
}

// action reads what a request that changes something asks for.
func (r *adminRequest) action(w http.ResponseWriter, payload any, optional bool) error {
	if _, err := r.query(); err != nil {
		return err
	}
	return r.decode(w, payload, optional)
}

// checkRooms refuses rooms that nobody means.
func checkRooms(option string, rooms []string) error {
	if len(rooms) > adminapi.MaxRooms {
		return adminError(http.StatusBadRequest, "%s lists %d rooms, and may list %d", option, len(rooms), adminapi.MaxRooms)
	}
	for i, room := range rooms {
		if room == "" || len(room) > adminapi.MaxRoomName {
			return adminError(http.StatusBadRequest, "%s: the name at index %d has %d bytes, and must have 1 to %d", option, i, len(room), adminapi.MaxRoomName)
		}
	}
	return nil
}
