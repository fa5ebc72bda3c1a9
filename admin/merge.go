package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// merge reads the answers of all servers, and has add called with each. Those that cannot be read, or have not
// come, are missing. What a server does not have is no part of the answer; where none has it, that is said.
func merge[T any](r *request, own reply, add func(node string, answer *T)) (missing []adminapi.Missing, err error) {
	found := false
	for _, one := range append([]reply{own}, r.cluster.ask(r.Context(), r.question)...) {
		answer := new(T)
		if one.err == nil && one.Status == http.StatusNotFound {
			continue
		}
		if one.err == nil && one.Status != http.StatusOK {
			one.err = fmt.Errorf("it answers %d: %s", one.Status, said(one.Body))
		}
		if one.err == nil {
			one.err = json.Unmarshal([]byte(one.Body), answer)
		}
		if one.err != nil {
			missing = append(missing, adminapi.Missing{Node: one.node, Error: one.err.Error()})
			continue
		}
		found = true
		add(one.node, answer)
	}
	if !found {
		return nil, notFound(own, missing)
	}
	return missing, nil
}

// notFound is the error that what is asked for is on no server, as far as they have answered.
func notFound(own reply, missing []adminapi.Missing) error {
	if missing == nil {
		return apiError(own.Status, "%s", said(own.Body))
	}
	var silent []string
	for _, m := range missing {
		if m.Node == "" {
			silent = append(silent, m.Error)
		} else {
			silent = append(silent, m.Node+": "+m.Error)
		}
	}
	return apiError(http.StatusGatewayTimeout, "%s; and not all servers of the cluster have answered: %s",
		said(own.Body), strings.Join(silent, ", "))
}

// said is the reason of a refusal.
func said(body string) string {
	var refused adminapi.Error
	if json.Unmarshal([]byte(body), &refused) == nil && refused.Error != "" {
		return refused.Error
	}
	return shortened(body)
}

// made is an answer that was put together.
func made(payload any, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	text, err := json.Marshal(payload)
	return reply{Status: http.StatusOK, Body: string(text)}, err
}

func mergeSockets(r *request, own reply) (reply, error) {
	page := adminapi.Sockets{Sockets: []adminapi.Socket{}}
	more := false
	missing, err := merge(r, own, func(node string, one *adminapi.Sockets) {
		for _, socket := range one.Sockets {
			socket.Node = node
			page.Sockets = append(page.Sockets, socket)
		}
		more = more || one.Next != ""
	})
	page.Missing = missing
	slices.SortFunc(page.Sockets, func(a, b adminapi.Socket) int { return cmp.Compare(a.ID, b.ID) })
	if limit := r.limit(); len(page.Sockets) > limit {
		page.Sockets, more = page.Sockets[:limit], true
	}
	if more && len(page.Sockets) > 0 {
		page.Next = page.Sockets[len(page.Sockets)-1].ID
	}
	return made(page, err)
}

// mergeRooms adds up the members of each room, as far as all servers have told of it.
func mergeRooms(r *request, own reply) (reply, error) {
	sockets := make(map[string]int)
	last := ""
	missing, err := merge(r, own, func(_ string, one *adminapi.Rooms) {
		for _, room := range one.Rooms {
			sockets[room.Name] += room.Sockets
		}
		if one.Next != "" && (last == "" || one.Next < last) {
			last = one.Next
		}
	})
	page := adminapi.Rooms{Rooms: []adminapi.Room{}, Next: last, Missing: missing}
	for name, n := range sockets {
		if last == "" || name <= last {
			page.Rooms = append(page.Rooms, adminapi.Room{Name: name, Sockets: n})
		}
	}
	slices.SortFunc(page.Rooms, func(a, b adminapi.Room) int { return strings.Compare(a.Name, b.Name) })
	if limit := r.limit(); len(page.Rooms) > limit {
		page.Rooms = page.Rooms[:limit]
		page.Next = page.Rooms[limit-1].Name
	}
	return made(page, err)
}

// limit is how many entries a page has. It was checked before.
func (r *request) limit() int {
	_, limit, _ := pageOf(r.URL.Query())
	return limit
}

func sumDisconnected(r *request, own reply) (reply, error) {
	var all adminapi.Disconnected
	missing, err := merge(r, own, func(_ string, one *adminapi.Disconnected) { all.Sockets += one.Sockets })
	all.Missing = missing
	return made(all, err)
}

// sumReceivers counts the sockets of other servers that an event was for. It has reached them by the adapter.
func sumReceivers(r *request, own reply) (reply, error) {
	if own.Status != http.StatusOK {
		return own, nil
	}
	var audience adminapi.Audience
	_ = json.Unmarshal(r.question.Body, &audience) // the body was read before
	body, err := json.Marshal(audience)
	if err != nil {
		return reply{}, err
	}
	r.question.Path = strings.TrimSuffix(r.question.Path, "/emit") + "/count"
	r.question.Body = body
	var all adminapi.Emitted
	missing, err := merge(r, own, func(_ string, one *adminapi.Emitted) { all.Receivers += one.Receivers })
	all.Missing = missing
	return made(all, err)
}

// theOne is the answer of the server that has a socket.
func theOne(r *request, own reply) (reply, error) {
	if own.Status != http.StatusNotFound {
		return own, nil
	}
	var missing []adminapi.Missing
	for _, one := range r.cluster.ask(r.Context(), r.question) {
		switch {
		case one.err != nil:
			missing = append(missing, adminapi.Missing{Node: one.node, Error: one.err.Error()})
		case one.Status != http.StatusNotFound:
			return one, nil
		}
	}
	return reply{}, notFound(own, missing)
}

// listNodes lists the servers of a hub's cluster.
func (r *request) listNodes(w http.ResponseWriter) error {
	if _, err := r.query(); err != nil {
		return err
	}
	c := clusterOf(r.Context(), r.server)
	state := hubState(r.hub, r.server)
	list := adminapi.Nodes{Nodes: []adminapi.Node{{Name: state.Node, Host: c.host, Self: true, Hub: &state}}}
	if !r.alone {
		for _, one := range c.ask(r.Context(), question{Method: http.MethodGet}) {
			if one.node == "" {
				list.Missing = append(list.Missing, adminapi.Missing{Error: one.err.Error()})
				continue
			}
			list.Nodes = append(list.Nodes, nodeState(c.peers, one))
		}
	}
	return answer(w, http.StatusOK, list)
}

// nodeState returns what a server says of itself.
func nodeState(peers []peer, one reply) adminapi.Node {
	i := slices.IndexFunc(peers, func(p peer) bool { return p.Name == one.node })
	node := adminapi.Node{Name: one.node, Host: peers[i].Host}
	state := new(adminapi.Hub)
	err := one.err
	if err == nil && one.Status != http.StatusOK {
		err = fmt.Errorf("it answers %d: %s", one.Status, said(one.Body))
	}
	if err == nil {
		err = json.Unmarshal([]byte(one.Body), state)
	}
	if err != nil {
		node.Error = err.Error()
		return node
	}
	state.Node = one.node
	node.Hub = state
	return node
}
