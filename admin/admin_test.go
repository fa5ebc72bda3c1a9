package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func TestAdminRefuses(t *testing.T) {
	s := newAdminServer(t, "other")
	_, ids := s.connect("/")
	const kind = "application/json"
	const emit = "/socketio/hubs/default/namespaces/-/emit"
	socket := "/socketio/hubs/default/sockets/" + ids[0]
	long := strings.Repeat("x", adminapi.MaxRoomName+1)
	many := `{"rooms":["` + strings.Repeat(`a","`, adminapi.MaxRooms) + `a"]}`
	for _, test := range []struct {
		name, method, path, contentType, body string
		status                                int
		want                                  string
	}{
		{"no path", "GET", "/socketio/", "", "", 404, "the API begins at /socketio/hubs"},
		{"unknown path", "GET", "/socketio/nope", "", "", 404, "there is nothing at /socketio/nope"},
		{"too long a path", "GET", "/socketio/hubs/default/a/b/c/d/e", "", "", 404, "there is nothing at"},
		{"unknown hub", "GET", "/socketio/hubs/nope", "", "", 404, `there is no hub "nope"; there are "default", "other"`},
		{"unknown namespace", "GET", "/socketio/hubs/default/namespaces/nope", "", "", 404, `the hub "default" has no namespace "/nope"; there are "/", "/chat"`},
		{"unknown socket", "GET", "/socketio/hubs/default/sockets/nope", "", "", 404, `no socket has the id "nope"`},
		{"socket of another namespace", "GET", "/socketio/hubs/default/namespaces/chat/sockets/" + ids[0], "", "", 404, "no socket has the id"},
		{"socket of another hub", "GET", "/socketio/hubs/other/sockets/" + ids[0], "", "", 404, "no socket has the id"},
		{"long socket id", "GET", "/socketio/hubs/default/sockets/" + strings.Repeat("x", 5000), "", "", 404, "xxx…"},
		{"POST of a list", "POST", "/socketio/hubs", kind, "{}", 405, "POST is not allowed here, but GET and HEAD"},
		{"DELETE of a socket", "DELETE", socket, "", "", 405, "DELETE is not allowed"},
		{"GET of an action", "GET", socket + "/disconnect", "", "", 405, "GET is not allowed here, but POST"},
		{"HEAD of an action", "HEAD", emit, "", "", 405, ""},
		{"POST of a tail", "POST", "/socketio/hubs/default/tail", kind, "{}", 405, "POST is not allowed"},
		{"PUT of a check", "PUT", "/socketio/live", "", "", 405, "PUT is not allowed"},

		{"unknown parameter", "GET", "/socketio/hubs?limits=1", "", "", 400, `unknown query parameter "limits": known here are`},
		{"parameter where there is none", "GET", "/socketio/hubs/default?limit=1", "", "", 400, "known here are none"},
		{"parameter of an action", "POST", emit + "?event=x", kind, `{"event":"x"}`, 400, "unknown query parameter"},
		{"parameter twice", "GET", "/socketio/hubs?limit=1&limit=1", "", "", 400, "given 2 times"},
		{"query that is none", "GET", "/socketio/hubs?limit=%zz", "", "", 400, "the query"},
		{"semicolons", "GET", "/socketio/hubs?limit=1;after=a", "", "", 400, "the query"},
		{"limit of zero", "GET", "/socketio/hubs?limit=0", "", "", 400, "limit must be a number from 1 to 1000"},
		{"limit too high", "GET", "/socketio/hubs?limit=1001", "", "", 400, "limit must be"},
		{"limit below zero", "GET", "/socketio/hubs/default/sockets?limit=-1", "", "", 400, "limit must be"},
		{"limit that is no number", "GET", "/socketio/hubs/default/namespaces/-/rooms?limit=ten", "", "", 400, "limit must be"},
		{"limit that is empty", "GET", "/socketio/hubs?limit=", "", "", 400, "limit must be"},
		{"slow that is no truth", "GET", "/socketio/hubs/default/sockets?slow=very", "", "", 400, "slow must be true or false"},
		{"room that is empty", "GET", "/socketio/hubs/default/sockets?room=", "", "", 400, "room is empty"},

		{"emit without a type", "POST", emit, "", `{"event":"x"}`, 415, "the Content-Type must be application/json"},
		{"emit of a form", "POST", emit, "application/x-www-form-urlencoded", `{"event":"x"}`, 415, "the Content-Type must be"},
		{"emit of text", "POST", emit, "text/plain", `{"event":"x"}`, 415, "the Content-Type must be"},
		{"emit of nothing", "POST", emit, kind, "", 400, "the body must be a JSON object"},
		{"emit of null", "POST", emit, kind, "null", 400, "the body must be a JSON object"},
		{"emit of an array", "POST", emit, kind, `["x"]`, 400, "the body must be a JSON object"},
		{"emit of half an object", "POST", emit, kind, `{"event":"x"`, 400, "unexpected EOF"},
		{"emit of two objects", "POST", emit, kind, `{"event":"x"}{"event":"y"}`, 400, "13 bytes follow the JSON object"},
		{"unknown field", "POST", emit, kind, `{"event":"x","room":"a"}`, 400, `unknown field "room"`},
		{"too large a body", "POST", emit, kind, `{"event":"` + strings.Repeat("x", adminapi.MaxBody) + `"}`, 413, "the body is larger than 1048576 bytes"},
		{"no event", "POST", emit, kind, `{}`, 400, "event is missing"},
		{"empty event", "POST", emit, kind, `{"event":""}`, 400, "event is missing"},
		{"event that is a number", "POST", emit, kind, `{"event":7}`, 400, "cannot unmarshal number"},
		{"reserved event", "POST", emit, kind, `{"event":"disconnect"}`, 400, `the event name "disconnect" is reserved`},
		{"args that are an object", "POST", emit, kind, `{"event":"x","args":{"a":1}}`, 400, "args: arguments must be a JSON array"},
		{"args that are null", "POST", emit, kind, `{"event":"x","args":null}`, 400, "args: arguments must be a JSON array"},
		{"args too deep", "POST", emit, kind, `{"event":"x","args":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`, 400, "nest deeper"},
		{"args in another encoding", "POST", emit, kind, "{\"event\":\"x\",\"args\":[\"\xff\"]}", 400, "not valid UTF-8"},
		{"rooms that are one", "POST", emit, kind, `{"event":"x","rooms":"a"}`, 400, "cannot unmarshal string"},
		{"rooms that are null", "POST", emit, kind, `{"event":"x","rooms":null}`, 400, "rooms is empty: leave it out to reach everyone"},
		{"rooms of nobody", "POST", emit, kind, `{"event":"x","rooms":[]}`, 400, "rooms is empty: leave it out to reach everyone"},
		{"a room without a name", "POST", emit, kind, `{"event":"x","rooms":["a",""]}`, 400, "rooms: the name at index 1 has 0 bytes"},
		{"an exception without a name", "POST", emit, kind, `{"event":"x","except":[""]}`, 400, "except: the name at index 0"},
		{"volatile that is a word", "POST", emit, kind, `{"event":"x","volatile":"yes"}`, 400, "cannot unmarshal string"},

		{"disconnect of an array", "POST", socket + "/disconnect", kind, `[]`, 400, "the body must be a JSON object"},
		{"disconnect without a type", "POST", socket + "/disconnect", "", `{"close":true}`, 415, "the Content-Type must be"},
		{"disconnect with a field too many", "POST", socket + "/disconnect", kind, `{"reason":"x"}`, 400, `unknown field "reason"`},
		{"identity that is empty", "GET", "/socketio/hubs/default/sockets?identity=", "", "", 400, "identity has 0 bytes"},
		{"identity that is too long", "GET", "/socketio/hubs/default/sockets?identity=" + long, "", "", 400, "identity has 513 bytes, and must have 1 to 256"},
		{"disconnect of a hub", "POST", "/socketio/hubs/default/disconnect", kind, `{}`, 400, "identity has 0 bytes"},
		{"disconnect of nobody", "POST", "/socketio/hubs/default/disconnect", kind, "", 400, "the body must be a JSON object"},
		{"disconnect of everybody", "POST", "/socketio/hubs/default/namespaces/-/disconnect", kind, `{"identity":null}`, 400, "identity has 0 bytes"},
		{"disconnect of a number", "POST", "/socketio/hubs/default/disconnect", kind, `{"identity":7}`, 400, "cannot unmarshal number"},
		{"disconnect of many", "POST", "/socketio/hubs/default/disconnect", kind, `{"identities":["ada"]}`, 400, `unknown field "identities"`},
		{"disconnect by a form", "POST", "/socketio/hubs/default/disconnect", "text/plain", `{"identity":"ada"}`, 415, "the Content-Type must be"},
		{"disconnect in an unknown namespace", "POST", "/socketio/hubs/default/namespaces/nope/disconnect", kind, `{"identity":"ada"}`, 404, "has no namespace"},
		{"GET of a disconnect", "GET", "/socketio/hubs/default/disconnect", "", "", 405, "GET is not allowed here, but POST"},
		{"join without a body", "POST", socket + "/join", kind, "", 400, "the body must be a JSON object"},
		{"join of nothing", "POST", socket + "/join", kind, `{}`, 400, "rooms is missing"},
		{"join of no room", "POST", socket + "/join", kind, `{"rooms":[]}`, 400, "rooms is missing"},
		{"join of a long name", "POST", socket + "/join", kind, `{"rooms":["` + long + `"]}`, 400, "has 513 bytes"},
		{"join of many rooms", "POST", socket + "/join", kind, many, 400, "lists 101 rooms, and may list 100"},
		{"join of a room of an event set", "POST", socket + "/join", kind, `{"rooms":["a","own:board"]}`, 403, `rooms: "own:board" cannot be joined or left here`},
		{"leave of a room of an event set", "POST", socket + "/leave", kind, `{"rooms":["own:board"]}`, 403, "to take a client out, disconnect its socket"},
		{"leave without a name", "POST", socket + "/leave", kind, `{"rooms":[""]}`, 400, "rooms: the name at index 0"},

		{"tail of an unknown hub", "GET", "/socketio/hubs/nope/tail", "", "", 404, "there is no hub"},
		{"tail of an unknown namespace", "GET", "/socketio/hubs/default/tail?namespace=nope", "", "", 404, `no namespace "/nope"`},
		{"tail of an empty event", "GET", "/socketio/hubs/default/tail?event=", "", "", 400, "event is empty"},
		{"tail with a payload of a word", "GET", "/socketio/hubs/default/tail?payload=some", "", "", 400, "payload must be true or false"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			response, body := s.send(test.method, test.path, test.contentType, test.body)
			if response.StatusCode != test.status || response.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s, want %d: %s", response.StatusCode, response.Header.Get("Content-Type"), test.status, body)
			}
			if (test.status == http.StatusMethodNotAllowed) != (response.Header.Get("Allow") != "") {
				t.Errorf("Allow is %q", response.Header.Get("Allow"))
			}
			if test.method == "HEAD" {
				return
			}
			var refusal adminapi.Error
			if err := json.Unmarshal([]byte(body), &refusal); err != nil || !strings.Contains(refusal.Error, test.want) {
				t.Errorf("%s, want %q", body, test.want)
			}
		})
	}
	s.t = t
	var socketState adminapi.Socket
	s.get(socket, &socketState)
	if socketState.RoomCount != 0 {
		t.Errorf("a refused request has changed the socket: %+v", socketState)
	}
}

// TestAdminPathsNameNamespaces holds that each way to write a namespace leads to it.
func TestAdminPathsNameNamespaces(t *testing.T) {
	s := newAdminServer(t)
	s.hubs["default"].Of("/-")
	s.hubs["default"].Of("/a/b c")
	for path, want := range map[string]string{
		"-": "/", "%2F": "/", "%2f": "/", "chat": "/chat", "%2Fchat": "/chat", "%2F-": "/-", "a%2Fb%20c": "/a/b c", "%2Fa%2Fb%20c": "/a/b c",
	} {
		var namespace adminapi.Namespace
		if s.get("/socketio/hubs/default/namespaces/"+path, &namespace); namespace.Name != want {
			t.Errorf("%s is %q, want %q", path, namespace.Name, want)
		}
		s.get("/socketio/hubs/default/namespaces/"+path+"/rooms/", &adminapi.Rooms{})
	}
}

func TestAdminShowsHubs(t *testing.T) {
	s := newAdminServer(t, "b", "c")
	_, ids := s.connect("/", "/chat")
	s.hubs["default"].Find(ids[0]).Admit("x", "y")
	var hub adminapi.Hub
	s.get("/socketio/hubs/default", &hub)
	if hub.Name != "default" || hub.Connections != 1 || hub.Sockets != 2 || hub.Rooms != 2 || len(hub.Namespaces) != 2 ||
		hub.Namespaces[0] != (adminapi.Namespace{Name: "/", Sockets: 1, Rooms: 2}) ||
		hub.Namespaces[1] != (adminapi.Namespace{Name: "/chat", Sockets: 1}) {
		t.Errorf("got %+v", hub)
	}
	var page adminapi.Hubs
	s.get("/socketio/hubs", &page)
	if len(page.Hubs) != 3 || page.Next != "" || page.Hubs[2].Sockets != 2 {
		t.Errorf("got %+v", page)
	}
	s.get("/socketio/hubs?limit=2", &page)
	if len(page.Hubs) != 2 || page.Next != "c" {
		t.Errorf("the first page: %+v", page)
	}
	page = adminapi.Hubs{}
	s.get("/socketio/hubs?limit=2&after=c", &page)
	if len(page.Hubs) != 1 || page.Next != "" || page.Hubs[0].Name != "default" {
		t.Errorf("the second page: %+v", page)
	}
	if response, body := s.send("HEAD", "/socketio/hubs", "", ""); response.StatusCode != http.StatusOK || body != "" || response.Header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %q", response.StatusCode, body)
	}
}

func TestAdminShowsRoomsAndSockets(t *testing.T) {
	s := newAdminServer(t)
	began := time.Now()
	conn, ids := s.connect("/", "/chat")
	_, others := s.connect("/")
	s.hubs["default"].Find(ids[0]).Admit("b", "a&c")
	s.hubs["default"].Find(others[0]).Admit("b")

	var rooms adminapi.Rooms
	s.get("/socketio/hubs/default/namespaces/-/rooms?limit=1", &rooms)
	if len(rooms.Rooms) != 1 || rooms.Rooms[0] != (adminapi.Room{Name: "a&c", Sockets: 1}) || rooms.Next != "a&c" {
		t.Errorf("the first page of rooms: %+v", rooms)
	}
	rooms = adminapi.Rooms{}
	s.get("/socketio/hubs/default/namespaces/-/rooms?after="+url.QueryEscape("a&c"), &rooms)
	if len(rooms.Rooms) != 1 || rooms.Rooms[0] != (adminapi.Room{Name: "b", Sockets: 2}) || rooms.Next != "" {
		t.Errorf("the second page of rooms: %+v", rooms)
	}

	var sockets adminapi.Sockets
	for path, want := range map[string][]string{
		"/sockets":                                {ids[0], ids[1], others[0]},
		"/namespaces/-/sockets":                   {ids[0], others[0]},
		"/namespaces/chat/sockets":                {ids[1]},
		"/namespaces/-/sockets?room=a%26c":        {ids[0]},
		"/namespaces/-/sockets?room=nope":         {},
		"/sockets?slow":                           {},
		"/sockets?slow=false&room=b":              {ids[0], others[0]},
		"/namespaces/-/sockets?room=" + ids[0]:    {ids[0]},
		"/namespaces/chat/sockets?room=" + "a%26": {},
	} {
		sockets = adminapi.Sockets{}
		s.get("/socketio/hubs/default"+path, &sockets)
		got := []string{}
		for _, socket := range sockets.Sockets {
			got = append(got, socket.ID)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}

	response, body := s.send("GET", "/socketio/hubs/default/sockets/"+ids[0], "", "")
	var socket adminapi.Socket
	if err := json.Unmarshal([]byte(body), &socket); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	if socket.ID != ids[0] || socket.Namespace != "/" || socket.Transport != "websocket" || socket.Address != "127.0.0.1" ||
		socket.ConnectedSince.Before(began) || socket.MessagesIn != 2 || socket.BytesIn == 0 || !slices.Equal(socket.Rooms, []string{"a&c", "b"}) || socket.RoomCount != 2 || socket.Slow {
		t.Errorf("got %s", body)
	}
	if strings.Contains(body, conn.Open.SID) {
		t.Errorf("the session's id shows: %s", body)
	}

	// What goes out counts once it is written, when the client may have it already.
	until(t, "the answers to CONNECT to be counted", func() bool {
		s.get("/socketio/hubs/default/sockets/"+ids[0], &socket)
		return socket.MessagesOut == 2 && socket.BytesOut > 0
	})

	names := make([]string, 0, 2*adminapi.MaxListedRooms)
	for i := range cap(names) {
		names = append(names, strconv.Itoa(i))
	}
	s.hubs["default"].Find(ids[1]).Admit(names...)
	s.get("/socketio/hubs/default/namespaces/chat/sockets/"+ids[1], &socket)
	if len(socket.Rooms) != adminapi.MaxListedRooms || socket.RoomCount != len(names) {
		t.Errorf("%d of %d rooms are listed", len(socket.Rooms), socket.RoomCount)
	}
}

func TestAdminEmits(t *testing.T) {
	s := newAdminServer(t)
	a, ids := s.connect("/")
	b, others := s.connect("/")
	c, _ := s.connect("/chat")
	s.hubs["default"].Find(ids[0]).Admit("room")

	var emitted adminapi.Emitted
	s.post("/socketio/hubs/default/namespaces/-/emit", `{"event":"all","args":[{"a": 1}, "é\u2028"]}`, &emitted)
	if emitted.Receivers != 2 {
		t.Errorf("%d receivers of what is for everyone", emitted.Receivers)
	}
	s.post("/socketio/hubs/default/namespaces/%2F/emit", `{"event":"room","rooms":["room"],"volatile":true}`, &emitted)
	if emitted.Receivers != 1 {
		t.Errorf("%d receivers of what is for a room", emitted.Receivers)
	}
	s.post("/socketio/hubs/default/namespaces/-/emit", `{"event":"rest","args":[],"except":["room"]}`, &emitted)
	s.post("/socketio/hubs/default/namespaces/-/emit", `{"event":"one","rooms":["`+others[0]+`"]}`, &emitted)
	s.post("/socketio/hubs/default/namespaces/chat/emit", `{"event":"chat","args":[1]}`, &emitted)
	for _, test := range []struct {
		conn *rawclient.Conn
		want []string
	}{
		{a, []string{`42["all",{"a": 1}, "é\u2028"]`, `42["room"]`}},
		{b, []string{`42["all",{"a": 1}, "é\u2028"]`, `42["rest"]`, `42["one"]`}},
		{c, []string{`42/chat,["chat",1]`}},
	} {
		for _, want := range test.want {
			if got := s.text(test.conn); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	s.post("/socketio/hubs/default/namespaces/-/emit", `{"event":"nobody","rooms":["nope"]}`, &emitted)
	if emitted.Receivers != 0 {
		t.Errorf("%d receivers in a room of nobody", emitted.Receivers)
	}
}

func TestAdminMovesAndDisconnectsSockets(t *testing.T) {
	s := newAdminServer(t)
	conn, ids := s.connect("/", "/chat")
	path := "/socketio/hubs/default/sockets/" + ids[0]
	var socket adminapi.Socket
	s.post(path+"/join", `{"rooms":["a","b","c"]}`, &socket)
	if !slices.Equal(socket.Rooms, []string{"a", "b", "c"}) {
		t.Errorf("after joining: %+v", socket)
	}
	s.post(path+"/leave", `{"rooms":["b","nope"]}`, &socket)
	if !slices.Equal(socket.Rooms, []string{"a", "c"}) || s.hubs["default"].Of("/").Count("b") != 0 {
		t.Errorf("after leaving: %+v", socket)
	}

	response, body := s.send("POST", path+"/disconnect", "", "")
	if response.StatusCode != http.StatusOK || !strings.Contains(body, `"rooms":["a","c"]`) {
		t.Errorf("disconnect: %d %s", response.StatusCode, body)
	}
	s.kicked(conn, "")
	if response, body := s.send("POST", path+"/disconnect", "", ""); response.StatusCode != http.StatusNotFound {
		t.Errorf("once more: %d %s", response.StatusCode, body)
	}
	// The rest of the connection stays, until that is to go too.
	s.post("/socketio/hubs/default/namespaces/chat/sockets/"+ids[1]+"/disconnect", `{"close":true}`, &socket)
	s.kicked(conn, "/chat,")
	until(t, "the connection to be closed", func() bool { return s.hubs["default"].Connections() == 0 })
}

// cutOff is an adapter that reaches nobody.
type cutOff struct{ streaming.Adapter }

func (cutOff) Health() error { return errors.New("nobody answers") }
func (cutOff) Close() error  { return nil }

func TestAdminChecks(t *testing.T) {
	s := newAdminServer(t)
	var check adminapi.Check
	if s.get("/socketio/live", &check); check.Status != "live" {
		t.Errorf("live: %+v", check)
	}
	if s.get("/socketio/ready", &check); check.Status != "ready" || !slices.Equal(check.Hubs, []string{"default"}) {
		t.Errorf("ready: %+v", check)
	}
	s.hubs["default"].SetOptions(streaming.Options{Adapter: func(streaming.Local) (streaming.Adapter, error) { return cutOff{}, nil }})
	if response, body := s.send("GET", "/socketio/ready", "", ""); response.StatusCode != http.StatusServiceUnavailable ||
		!strings.Contains(body, `"status":"cut off"`) || !strings.Contains(body, `"reason":"hub default: nobody answers"`) {
		t.Errorf("cut off: %d %s", response.StatusCode, body)
	}
	delete(s.hubs, "default")
	if response, body := s.send("GET", "/socketio/ready", "", ""); response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "no hub") {
		t.Errorf("without a hub: %d %s", response.StatusCode, body)
	}
	exiting = func() bool { return true }
	t.Cleanup(func() { exiting = caddy.Exiting })
	if response, body := s.send("GET", "/socketio/ready", "", ""); response.StatusCode != http.StatusServiceUnavailable ||
		!strings.Contains(body, "stopping") || response.Header.Get("Retry-After") == "" {
		t.Errorf("going down: %d %s", response.StatusCode, body)
	}
	if response, _ := s.send("GET", "/socketio/live", "", ""); response.StatusCode != http.StatusOK {
		t.Errorf("live while going down: %d", response.StatusCode)
	}
}
