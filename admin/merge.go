package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/streaming/presence"
)

// merge reads the answers of all servers, and has add called with each. Those that cannot be read, or have not
// come, are missing. What a server does not have is no part of the answer.
func merge[T any](r *request, replies []reply, add func(node string, answer *T)) (missing []adminapi.Missing, err error) {
	if replies[0].Status != http.StatusOK {
		return nil, apiError(replies[0].Status, "%s", said(replies[0].Body))
	}
	for _, one := range append(replies, r.others()...) {
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
		add(one.node, answer)
	}
	return missing, nil
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

func mergeSockets(r *request, replies []reply) (reply, error) {
	page := adminapi.Sockets{Sockets: []adminapi.Socket{}}
	more := false
	missing, err := merge(r, replies, func(node string, one *adminapi.Sockets) {
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
func mergeRooms(r *request, replies []reply) (reply, error) {
	sockets := make(map[string]int)
	last := ""
	missing, err := merge(r, replies, func(_ string, one *adminapi.Rooms) {
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

func sumDisconnected(r *request, replies []reply) (reply, error) {
	var all adminapi.Disconnected
	missing, err := merge(r, replies, func(_ string, one *adminapi.Disconnected) { all.Sockets += one.Sockets })
	all.Missing = missing
	return made(all, err)
}

// sumReceivers counts the sockets of other servers that an event was for. It has reached them by the adapter.
func sumReceivers(r *request, replies []reply) (reply, error) {
	body, err := json.Marshal(audienceOf(r.body))
	if err != nil {
		return reply{}, err
	}
	r.question.Path = strings.TrimSuffix(r.question.Path, "/emit") + "/count"
	r.question.Body = body
	var all adminapi.Emitted
	missing, err := merge(r, replies, func(_ string, one *adminapi.Emitted) { all.Receivers += one.Receivers })
	all.Missing = missing
	return made(all, err)
}

// audienceOf returns whom an event is for. The body was read before.
func audienceOf(body []byte) (audience adminapi.Audience) {
	_ = json.Unmarshal(body, &audience)
	return audience
}

// theOne is the answer of the server that has a socket.
func theOne(r *request, replies []reply) (reply, error) {
	own := replies[0]
	if own.Status != http.StatusNotFound {
		return own, nil
	}
	var missing []string
	for _, one := range r.others() {
		switch {
		case one.err != nil:
			missing = append(missing, one.node)
		case one.Status != http.StatusNotFound:
			return one, nil
		}
	}
	if missing != nil {
		return reply{}, apiError(http.StatusGatewayTimeout, "%s; and these servers have not answered: %s",
			said(own.Body), strings.Join(missing, ", "))
	}
	return own, nil
}

// listNodes lists the servers of a hub's cluster.
func (r *request) listNodes(w http.ResponseWriter) error {
	if _, err := r.query(); err != nil {
		return err
	}
	state := hubState(r.hub, r.server)
	self := adminapi.Node{Name: state.Node, Self: true, Hub: &state}
	if all := namespacesOf(r.server); len(all) > 0 {
		self.Host = presence.Of(all[0]).Self().Host
	}
	list := adminapi.Nodes{Nodes: []adminapi.Node{self}}
	if !r.alone {
		peers := peersOf(r.server)
		for _, one := range askAll(r.Context(), peers, question{Method: http.MethodGet}) {
			list.Nodes = append(list.Nodes, nodeState(peers, one))
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
