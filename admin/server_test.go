package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/events/relay"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// adminTimeout is how long a test waits for what must happen, also where the machine has much else
// to do.
const adminTimeout = time.Minute

// adminServer serves the admin API as Caddy's admin endpoint does, over hubs of its own.
type adminServer struct {
	t    testing.TB
	url  string
	hubs map[string]*streaming.Server
	// site serves the clients of the hub "default".
	site string
	http *httptest.Server
}

// newAdminServer starts the API over a hub "default" with the namespaces "/" and "/chat", and
// others that are empty.
func newAdminServer(t testing.TB, others ...string) *adminServer {
	t.Helper()
	return startAdminServer(t, 10*time.Second, append([]string{"default"}, others...)...)
}

// roomsOfItsOwn is an event set that keeps books of its own on who is in its rooms.
type roomsOfItsOwn struct{}

func (roomsOfItsOwn) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	h.OwnRooms("own:")
	return nil
}

func startAdminServer(t testing.TB, readTimeout time.Duration, hubs ...string) *adminServer {
	t.Helper()
	s := &adminServer{t: t, hubs: make(map[string]*streaming.Server)}
	for _, name := range hubs {
		server := streaming.New(streaming.Options{}, nil)
		s.hubs[name] = server
		for _, namespace := range []string{"/", "/chat"} {
			if err := server.Of(namespace).Use(&relay.Set{Events: []string{"chat"}}, roomsOfItsOwn{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.start(readTimeout)
	return s
}

// api is the module over the hubs of the server.
func (s *adminServer) api() *Admin {
	return &Admin{
		find:  func(name string) (string, *streaming.Server) { return name, s.hubs[name] },
		names: func() []string { return slices.Sorted(maps.Keys(s.hubs)) },
	}
}

// start serves the hubs.
func (s *adminServer) start(readTimeout time.Duration) {
	t, admin := s.t, s.api()
	mux := http.NewServeMux()
	for _, route := range admin.Routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			err := route.Handler.ServeHTTP(w, r)
			var refusal caddy.APIError
			if err != nil && !errors.As(err, &refusal) {
				t.Errorf("%s %s: an error without a status: %v", r.Method, r.URL, err)
			}
			if err != nil {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(refusal.HTTPStatus)
				_ = json.NewEncoder(w).Encode(adminapi.Error{Error: refusal.Error()})
			}
		})
	}
	s.http = httptest.NewUnstartedServer(mux)
	s.http.Config.ReadTimeout = readTimeout
	s.http.Start()
	site := httptest.NewServer(s.hubs["default"].Handler())
	s.url, s.site = s.http.URL, site.URL+"/socket.io/"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
		defer cancel()
		for _, server := range s.hubs {
			_ = server.Shutdown(ctx, engineio.Farewell{})
		}
		s.http.Close()
		site.Close()
	})
}

// send sends a request and returns the answer with its body.
func (s *adminServer) send(method, path, contentType, body string) (*http.Response, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response, string(content)
}

// get reads the answer to a GET, which must be 200, into payload.
func (s *adminServer) get(path string, payload any) {
	s.t.Helper()
	s.decode("GET", path, "", payload)
}

// post reads the answer to a POST, which must be 200, into payload.
func (s *adminServer) post(path, body string, payload any) {
	s.t.Helper()
	s.decode("POST", path, body, payload)
}

func (s *adminServer) decode(method, path, body string, payload any) {
	s.t.Helper()
	response, content := s.send(method, path, "application/json", body)
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
		s.t.Fatalf("%s %s: %d %s %s", method, path, response.StatusCode, response.Header.Get("Content-Type"), content)
	}
	decoder := json.NewDecoder(strings.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(payload); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, content)
	}
}

// connect connects a client to namespaces and returns the ids of its sockets there.
func (s *adminServer) connect(namespaces ...string) (*rawclient.Conn, []string) {
	s.t.Helper()
	client := rawclient.New(s.site)
	conn, err := client.Connect(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	var ids []string
	for _, namespace := range namespaces {
		prefix := "40"
		if namespace != "/" {
			prefix += namespace + ","
		}
		if err := conn.WriteText(prefix); err != nil {
			s.t.Fatal(err)
		}
		var connected struct{ SID string }
		if err := json.Unmarshal([]byte(strings.TrimPrefix(s.text(conn), prefix)), &connected); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, connected.SID)
	}
	return conn, ids
}

// text reads the next packet.
func (s *adminServer) text(conn *rawclient.Conn) string {
	s.t.Helper()
	text, err := conn.ReadText()
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// kicked takes what a client gets in a namespace that an operator disconnects it from. The
// namespace is given as it stands in packets.
func (s *adminServer) kicked(conn *rawclient.Conn, namespace string) {
	s.t.Helper()
	for _, want := range []string{
		"42" + namespace + `["error",{"message":"disconnected by an operator","code":"kicked"}]`,
		"41" + namespace,
	} {
		if got := s.text(conn); got != want {
			s.t.Errorf("got %s, want %s", got, want)
		}
	}
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(adminTimeout); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}
