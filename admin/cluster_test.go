package admin

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/clustertest"
)

// startCluster starts servers of one cluster by these names, each with a hub "default" and an API of its own, and
// waits until they know of each other.
func startCluster(t *testing.T, network *clustertest.Network, names ...string) []*adminServer {
	t.Helper()
	var servers []*adminServer
	for _, name := range names {
		s := &adminServer{t: t, hubs: make(map[string]*streaming.Server)}
		server := streaming.New(streaming.Options{Adapter: network.Adapter(name)}, nil)
		s.hubs["default"] = server
		for _, namespace := range []string{"/", "/chat"} {
			if err := server.Of(namespace).Use(everyone("of "+name), roomsOfItsOwn{}, &Set{Hub: "default", api: s.api()}); err != nil {
				t.Fatal(err)
			}
		}
		s.start(10 * time.Second)
		servers = append(servers, s)
	}
	for _, s := range servers {
		until(t, "the servers to know of each other", func() bool { return len(clusterOf(t.Context(), s.hubs["default"]).peers) == len(names)-1 })
	}
	return servers
}

// ids are those of sockets, in order.
func ids(sockets ...string) []string {
	slices.Sort(sockets)
	return sockets
}

const hubURL = "/socketio/hubs/default"

func TestAdminListsTheClientsOfAllServers(t *testing.T) {
	servers := startCluster(t, new(clustertest.Network), "a", "b", "c")
	a, b := servers[0], servers[1]
	_, first := a.connect("/", "/chat")
	_, second := b.connect("/")
	_, third := servers[2].connect("/")
	b.hubs["default"].Find(second[0]).Admit("x", "y")
	a.hubs["default"].Find(first[0]).Admit("x")

	for path, want := range map[string][]string{
		"/sockets":                              ids(first[0], first[1], second[0], third[0]),
		"/namespaces/-/sockets":                 ids(first[0], second[0], third[0]),
		"/sockets?room=x":                       ids(first[0], second[0]),
		"/sockets?node=b":                       ids(second[0]),
		"/sockets?node=a":                       ids(first[0], first[1]),
		"/sockets?identity=of%20c":              ids(third[0]),
		"/namespaces/-/sockets?identity=of%20b": ids(second[0]),
	} {
		var page adminapi.Sockets
		a.get(hubURL+path, &page)
		var got []string
		for _, socket := range page.Sockets {
			got = append(got, socket.ID)
			if node := map[bool]string{true: "a", false: "b"}[slices.Contains(first, socket.ID)]; socket.ID != third[0] && socket.Node != node {
				t.Errorf("%s is on %q", socket.ID, socket.Node)
			}
		}
		if !slices.Equal(got, want) || page.Missing != nil || page.Next != "" {
			t.Errorf("%s: %v, want %v; missing %v", path, got, want, page.Missing)
		}
	}

	// Pages of all servers together have each socket once, in order.
	var got []string
	for after := ""; ; {
		var page adminapi.Sockets
		a.get(hubURL+"/sockets?limit=1&after="+after, &page)
		for _, socket := range page.Sockets {
			got = append(got, socket.ID)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if want := ids(first[0], first[1], second[0], third[0]); !slices.Equal(got, want) {
		t.Errorf("by pages: %v, want %v", got, want)
	}

	var rooms adminapi.Rooms
	a.get(hubURL+"/namespaces/-/rooms", &rooms)
	if !slices.Equal(rooms.Rooms, []adminapi.Room{{Name: "x", Sockets: 2}, {Name: "y", Sockets: 1}}) || rooms.Next != "" {
		t.Errorf("rooms: %+v", rooms)
	}
	rooms = adminapi.Rooms{}
	a.get(hubURL+"/namespaces/-/rooms?limit=1", &rooms)
	if !slices.Equal(rooms.Rooms, []adminapi.Room{{Name: "x", Sockets: 2}}) || rooms.Next != "x" {
		t.Errorf("the first page of rooms: %+v", rooms)
	}

	var socket adminapi.Socket
	if a.get(hubURL+"/sockets/"+second[0], &socket); socket.ID != second[0] || socket.Node != "b" || socket.Transport != "websocket" {
		t.Errorf("of another server: %+v", socket)
	}
	response, body := a.send(http.MethodGet, hubURL+"/sockets/nobody", "", "")
	if response.StatusCode != http.StatusNotFound || !strings.Contains(body, "no socket has the id") {
		t.Errorf("of nobody: %d %s", response.StatusCode, body)
	}
	response, body = a.send(http.MethodGet, hubURL+"/sockets?node=d", "", "")
	if response.StatusCode != http.StatusNotFound || !strings.Contains(body, `has no node \"d\"; there are \"a\", \"b\", \"c\"`) {
		t.Errorf("of a server that there is not: %d %s", response.StatusCode, body)
	}

	var nodes adminapi.Nodes
	a.get(hubURL+"/nodes", &nodes)
	var told []string
	for _, n := range nodes.Nodes {
		if n.Hub == nil || n.Hub.Node != n.Name || n.Hub.Connections != 1 || n.Host == "" || n.Self != (n.Name == "a") {
			t.Errorf("%+v", n)
		}
		told = append(told, n.Name)
	}
	if !slices.Equal(told, []string{"a", "b", "c"}) {
		t.Errorf("nodes: %v", told)
	}
	var hub adminapi.Hub
	if a.get(hubURL+"?node=b", &hub); hub.Node != "b" || hub.Sockets != 1 {
		t.Errorf("one hub: %+v", hub)
	}
}

func TestAdminActsOnTheClientsOfAllServers(t *testing.T) {
	servers := startCluster(t, new(clustertest.Network), "a", "b")
	a, b := servers[0], servers[1]
	here, first := a.connect("/")
	there, second := b.connect("/", "/chat")

	var emitted adminapi.Emitted
	if a.post(hubURL+"/namespaces/-/emit", `{"event":"all","args":[1]}`, &emitted); emitted.Receivers != 2 || emitted.Missing != nil {
		t.Errorf("to all: %+v", emitted)
	}
	if a.post(hubURL+"/namespaces/-/emit?node=b", `{"event":"b"}`, &emitted); emitted.Receivers != 1 {
		t.Errorf("to those of b: %+v", emitted)
	}
	if a.post(hubURL+"/namespaces/-/emit?node=a", `{"event":"a"}`, &emitted); emitted.Receivers != 1 {
		t.Errorf("to those of a: %+v", emitted)
	}
	if a.post(hubURL+"/namespaces/-/emit", `{"event":"one","rooms":["`+second[0]+`"]}`, &emitted); emitted.Receivers != 1 {
		t.Errorf("to one: %+v", emitted)
	}
	if a.post(hubURL+"/namespaces/-/emit", `{"event":"end","except":["`+second[1]+`"]}`, &emitted); emitted.Receivers != 2 {
		t.Errorf("but to one of another namespace: %+v", emitted)
	}
	for conn, want := range map[*rawclient.Conn][]string{
		here:  {`42["all",1]`, `42["a"]`, `42["end"]`},
		there: {`42["all",1]`, `42["b"]`, `42["one"]`, `42["end"]`},
	} {
		for _, text := range want {
			if got := a.text(conn); got != text {
				t.Errorf("got %s, want %s", got, text)
			}
		}
	}

	var socket adminapi.Socket
	if a.post(hubURL+"/sockets/"+second[0]+"/join", `{"rooms":["x"]}`, &socket); !slices.Equal(socket.Rooms, []string{"x"}) || socket.Node != "b" {
		t.Errorf("joined: %+v", socket)
	}
	response, body := a.send(http.MethodPost, hubURL+"/sockets/"+second[0]+"/join", "application/json", `{"rooms":["own:x"]}`)
	if response.StatusCode != http.StatusForbidden || !strings.Contains(body, "cannot be joined or left here") {
		t.Errorf("a room of an event set: %d %s", response.StatusCode, body)
	}
	if a.post(hubURL+"/namespaces/chat/sockets/"+second[1]+"/disconnect", "", &socket); socket.ID != second[1] {
		t.Errorf("kicked: %+v", socket)
	}
	a.kicked(there, "/chat,")

	_, third := b.connect("/")
	var gone adminapi.Disconnected
	if a.post(hubURL+"/disconnect?node=a", `{"identity":"of b"}`, &gone); gone.Sockets != 0 {
		t.Errorf("here only: %+v", gone)
	}
	if a.post(hubURL+"/disconnect", `{"identity":"of b"}`, &gone); gone.Sockets != 2 {
		t.Errorf("everywhere: %+v", gone)
	}
	a.kicked(there, "")
	until(t, "both to be gone", func() bool {
		server := b.hubs["default"]
		return server.Find(second[0]) == nil && server.Find(third[0]) == nil
	})
	if a.hubs["default"].Find(first[0]) == nil {
		t.Error("another client was disconnected too")
	}
}

// TestAdminNamesServersThatDoNotAnswer holds that one that is silent is named, and that nobody waits for it longer
// than it is there.
func TestAdminNamesServersThatDoNotAnswer(t *testing.T) {
	network := new(clustertest.Network)
	servers := startCluster(t, network, "a", "b")
	a := servers[0]
	_, first := a.connect("/")
	network.Cut("b", true)
	var page adminapi.Sockets
	a.get(hubURL+"/sockets", &page)
	if len(page.Sockets) != 1 || page.Sockets[0].ID != first[0] || len(page.Missing) != 1 || page.Missing[0].Node != "b" ||
		page.Missing[0].Error != "the server has not answered in time" {
		t.Errorf("sockets: %+v", page)
	}
	// One that is lost while it is asked is named too: its clients may be there still.
	response, body := a.send(http.MethodPost, hubURL+"/sockets/elsewhere/disconnect", "", "")
	if response.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "not all servers of the cluster have answered: b: ") {
		t.Errorf("a socket that may be there: %d %s", response.StatusCode, body)
	}
	until(t, "b to be given up", func() bool { return len(clusterOf(t.Context(), a.hubs["default"]).peers) == 0 })
	begun := time.Now()
	page = adminapi.Sockets{}
	if a.get(hubURL+"/sockets", &page); len(page.Sockets) != 1 || page.Missing != nil {
		t.Errorf("of one that is dead: %+v", page)
	}
	if waited := time.Since(begun); waited > 4*time.Second {
		t.Errorf("a dead server is waited for, %s", waited)
	}
}

// TestAdminSaysThatOthersAreNotReached holds that a server that is cut off does not pass off what it has for all
// that there is.
func TestAdminSaysThatOthersAreNotReached(t *testing.T) {
	network := new(clustertest.Network)
	a := startCluster(t, network, "a", "b")[0]
	_, first := a.connect("/")
	network.Cut("a", true)
	const why = "other servers are not reached: it is cut off"
	missing := []adminapi.Missing{{Error: why}}
	var page adminapi.Sockets
	if a.get(hubURL+"/sockets", &page); len(page.Sockets) != 1 || page.Sockets[0].ID != first[0] || !slices.Equal(page.Missing, missing) {
		t.Errorf("sockets: %+v", page)
	}
	var emitted adminapi.Emitted
	if a.post(hubURL+"/namespaces/-/emit", `{"event":"all"}`, &emitted); emitted.Receivers != 1 || !slices.Equal(emitted.Missing, missing) {
		t.Errorf("emit: %+v", emitted)
	}
	var gone adminapi.Disconnected
	if a.post(hubURL+"/disconnect", `{"identity":"of b"}`, &gone); gone.Sockets != 0 || !slices.Equal(gone.Missing, missing) {
		t.Errorf("disconnect: %+v", gone)
	}
	var nodes adminapi.Nodes
	if a.get(hubURL+"/nodes", &nodes); len(nodes.Nodes) != 1 || !slices.Equal(nodes.Missing, missing) {
		t.Errorf("nodes: %+v", nodes)
	}
	for _, path := range []string{"/sockets/elsewhere", "/sockets?node=b"} {
		if response, body := a.send(http.MethodGet, hubURL+path, "", ""); response.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, why) {
			t.Errorf("%s: %d %s", path, response.StatusCode, body)
		}
	}
	page = adminapi.Sockets{}
	if a.get(hubURL+"/sockets?node=a", &page); len(page.Sockets) != 1 || page.Missing != nil {
		t.Errorf("of itself: %+v", page)
	}
}

// TestOtherServersRefuseWhatOneWould holds that what a server refuses is refused too when it comes by another one,
// such as what a page on the web can send.
func TestOtherServersRefuseWhatOneWould(t *testing.T) {
	servers := startCluster(t, new(clustertest.Network), "a", "b")
	a, b := servers[0], servers[1]
	_, second := b.connect("/")
	for _, test := range []struct {
		method, path, contentType, body string
		status                          int
	}{
		{http.MethodPost, "/disconnect?node=b", "text/plain", `{"identity":"of b"}`, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/disconnect", "text/plain", `{"identity":"of b"}`, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/namespaces/-/emit?node=b", "text/plain", `{"event":"x"}`, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/sockets/" + second[0] + "/disconnect", "text/plain", `{"close":true}`, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/sockets/" + second[0] + "/join", "text/plain", `{"rooms":["x"]}`, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/sockets/" + second[0] + "/join", "application/json", `{"rooms":[]}`, http.StatusBadRequest},
		{http.MethodGet, "/sockets?node=b&limit=0", "", "", http.StatusBadRequest},
		{http.MethodGet, "/sockets?node=b&node=a", "", "", http.StatusBadRequest},
		{http.MethodGet, "/sockets?node=", "", "", http.StatusNotFound},
		{http.MethodGet, "/tail?node=b", "", "", http.StatusBadRequest},
		{http.MethodGet, "/%74ail?node=b", "", "", http.StatusBadRequest},
		{http.MethodGet, "/nothing?node=b", "", "", http.StatusNotFound},
		{http.MethodPost, "/disconnect?node=b", "application/json", strings.Repeat(" ", adminapi.MaxBody+1), http.StatusRequestEntityTooLarge},
	} {
		response, body := a.send(test.method, hubURL+test.path, test.contentType, test.body)
		if response.StatusCode != test.status {
			t.Errorf("%s %s: %d %s", test.method, test.path, response.StatusCode, body)
		}
	}
	if socket := b.hubs["default"].Find(second[0]); socket == nil || len(socket.Rooms()) != 0 {
		t.Error("what was refused was done")
	}
	// As large a body as one server takes is taken by way of another one.
	var emitted adminapi.Emitted
	body := `{"event":"x","args":["` + strings.Repeat("x", adminapi.MaxBody-100) + `"]}`
	if a.post(hubURL+"/namespaces/-/emit?node=b", body, &emitted); emitted.Receivers != 1 {
		t.Errorf("a large event: %+v", emitted)
	}
}

// TestNamespacesThatOnlyOthersHave holds that what this server does not have is not taken for what nobody has.
func TestNamespacesThatOnlyOthersHave(t *testing.T) {
	servers := startCluster(t, new(clustertest.Network), "a", "b")
	a, b := servers[0], servers[1]
	if err := b.hubs["default"].Of("/more").Use(everyone("of b"), &Set{Hub: "default", api: b.api()}); err != nil {
		t.Fatal(err)
	}
	_, second := b.connect("/more")
	b.hubs["default"].Find(second[0]).Admit("x")
	const more = hubURL + "/namespaces/more"
	var page adminapi.Sockets
	if a.get(more+"/sockets", &page); len(page.Sockets) != 1 || page.Sockets[0].ID != second[0] {
		t.Errorf("sockets: %+v", page)
	}
	var rooms adminapi.Rooms
	if a.get(more+"/rooms", &rooms); len(rooms.Rooms) != 1 {
		t.Errorf("rooms: %+v", rooms)
	}
	var gone adminapi.Disconnected
	if a.post(more+"/disconnect", `{"identity":"of b"}`, &gone); gone.Sockets != 1 {
		t.Errorf("disconnected: %+v", gone)
	}
	response, body := a.send(http.MethodGet, hubURL+"/namespaces/none/sockets", "", "")
	if response.StatusCode != http.StatusNotFound || !strings.Contains(body, "no namespace") {
		t.Errorf("one that nobody has: %d %s", response.StatusCode, body)
	}
}
