package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

const (
	key         = "0123456789abcdef"
	otherKey    = "fedcba9876543210"
	patience20s = 20 * time.Second
)

// site is a server with an endpoint.
type site struct {
	t        *testing.T
	server   *streaming.Server
	url      string // of the endpoint
	socketIO string
}

func newSite(t *testing.T, o Options) *site {
	t.Helper()
	o.Keys = []string{otherKey, key}
	server := streaming.New(streaming.Options{}, slog.New(slog.DiscardHandler))
	for _, name := range []string{"/", "/news"} {
		if err := server.Of(name).Use(joiner{}); err != nil {
			t.Fatal(err)
		}
	}
	endpoint := New(o)
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", server.Handler())
	mux.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		_ = endpoint.Serve(w, r, server)
	})
	front := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience20s)
		defer cancel()
		if err := server.Shutdown(ctx, engineio.Farewell{}); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		front.Close()
	})
	return &site{t, server, front.URL + "/publish", front.URL + "/socket.io/"}
}

// joiner lets clients join rooms by the event "join".
type joiner struct{}

func (joiner) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.On("join", func(e *streaming.Event) {
		var room string
		if e.Decode(&room) == nil {
			_ = e.Socket.Join(room)
			_ = e.Socket.Emit("joined", room)
		}
	})
}

// client connects to a namespace and joins a room, if one is named.
func (s *site) client(namespace, room string) *rawclient.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience20s)
	defer cancel()
	conn, err := rawclient.New(s.socketIO).Connect(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	of := ""
	if namespace != "/" {
		of = namespace + ","
	}
	s.write(conn, "40"+of)
	s.read(conn, "40"+of)
	if room != "" {
		s.write(conn, fmt.Sprintf("42%s[\"join\",%q]", of, room))
		s.read(conn, "42"+of+`["joined"`)
	}
	return conn
}

// clientNamed connects to the main namespace with an identity.
func (s *site) clientNamed(name string) *rawclient.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience20s)
	defer cancel()
	conn, err := rawclient.New(s.socketIO).Connect(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	s.write(conn, fmt.Sprintf(`40{"name":%q}`, name))
	s.read(conn, "40")
	return conn
}

func (s *site) write(conn *rawclient.Conn, text string) {
	s.t.Helper()
	if err := conn.WriteText(text); err != nil {
		s.t.Fatal(err)
	}
}

// read reads a message, which must begin so.
func (s *site) read(conn *rawclient.Conn, prefix string) string {
	s.t.Helper()
	text, err := conn.ReadText()
	if err != nil || !strings.HasPrefix(text, prefix) {
		s.t.Fatalf("read %q, %v, want %q", text, err, prefix)
	}
	return text
}

// do asks the endpoint, with a key and JSON unless headers say otherwise.
func (s *site) do(method, query string, body io.Reader, headers ...string) (status int, answer string, header http.Header) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+query, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text)), response.Header
}

// post publishes what must be taken.
func (s *site) post(body, want string) {
	s.t.Helper()
	if status, answer, _ := s.do("POST", "", strings.NewReader(body)); status != http.StatusOK || answer != want {
		s.t.Errorf("%s: %d %s, want %s", body, status, answer, want)
	}
}

func TestEventsReachWhomTheyAreFor(t *testing.T) {
	s := newSite(t, Options{})
	red, blue, news := s.client("/", "red"), s.client("/", "blue"), s.client("/news", "red")
	s.post(`{"event": "all", "args": [1, {"b": 2, "a": [1e400, "\u00e9"]}]}`, `{"receivers":2}`)
	s.post(`{"event": "to", "to": ["red"]}`, `{"receivers":1}`)
	s.post(`{"event": "except", "args": [], "except": ["red"]}`, `{"receivers":1}`)
	s.post(`{"event": "news", "namespace": "/news", "to": ["red", "blue"], "volatile": true}`, `{"receivers":1}`)
	s.post(`[{"event": "one"}, {"event": "two", "to": ["red"]}, {"event": "nobody", "to": ["green"]}]`, `{"receivers":3}`)
	s.read(red, `42["all",1, {"b": 2, "a": [1e400, "\u00e9"]}]`)
	s.read(red, `42["to"]`)
	s.read(red, `42["one"]`)
	s.read(red, `42["two"]`)
	s.read(blue, `42["all",`)
	s.read(blue, `42["except"]`)
	s.read(blue, `42["one"]`)
	s.read(news, `42/news,["news"]`)
}

func TestBinaryData(t *testing.T) {
	s := newSite(t, Options{})
	conn := s.client("/", "")
	binary := func(want ...string) {
		t.Helper()
		for _, data := range want {
			got, err := conn.ReadBinary()
			if err != nil || string(got) != data {
				t.Errorf("got %q, %v, want %q", got, err, data)
			}
		}
	}
	s.post(`{"event": "e", "args": ["a$", {"x": [{"$binary": "AAEC"}], "y": {"\u0024binary": "aGk="}}, {"$binary": ""}]}`, `{"receivers":1}`)
	s.read(conn, `453-["e","a$",{"x":[{"_placeholder":true,"num":0}],"y":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":2}]`)
	binary("\x00\x01\x02", "hi", "")

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("message", `{"event": "file", "args": [{"$part": "image"}, 7]}`)
	part, _ := form.CreateFormFile("image", "image.png")
	_, _ = part.Write([]byte("\x89PNG"))
	_ = form.Close()
	if status, answer, _ := s.do("POST", "", &body, "Content-Type", form.FormDataContentType()); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	s.read(conn, `451-["file",{"_placeholder":true,"num":0},7]`)
	binary("\x89PNG")
}

// TestStrangersLearnNothing holds that whoever has no key gets the same answer, whatever it asks.
func TestStrangersLearnNothing(t *testing.T) {
	s := newSite(t, Options{})
	for _, method := range []string{"GET", "POST", "DELETE", "PUT", "OPTIONS"} {
		for _, query := range []string{"", "?room=x", "?identity=ada&namespace=/nowhere", "?%zz"} {
			for _, header := range []string{"", "Bearer", "Bearer ", "Bearer " + key + "x", "Bearer " + key[:15], "Basic " + key, key} {
				status, answer, got := s.do(method, query, strings.NewReader(`{"event":`), "Authorization", header)
				if status != http.StatusUnauthorized || answer != `{"error":"unauthorized"}` || got.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s %s with %q: %d %s", method, query, header, status, answer)
				}
			}
		}
	}
	if status, _, _ := s.do("GET", "", nil, "Authorization", "bearer  "+otherKey); status != http.StatusOK {
		t.Errorf("the other key is answered %d", status)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	s := newSite(t, Options{MaxBody: 2000})
	conn := s.client("/", "")
	for _, c := range []struct {
		body, want string
		status     int
	}{
		{``, "it is empty", 400},
		{`x`, "invalid character", 400},
		{`7`, "cannot unmarshal", 400},
		{`null`, "event is missing", 400},
		{`[]`, "the list of events is empty", 400},
		{`[null]`, "event 0 of the list is null", 400},
		{`[{"event": "a"}, {"event": ""}]`, "event 1 of the list: event is missing", 400},
		{`{"event": "a"} {}`, "something follows the JSON", 400},
		{`{"event": "a", "room": "b"}`, `unknown field "room"`, 400},
		{`{"event": "connect"}`, "event:", 400},
		{`{"event": "a", "args": {}}`, "args: arguments must be a JSON array", 400},
		{`{"event": "a", "to": []}`, "to is empty: leave it out", 400},
		{`{"event": "a", "to": null}`, "to is empty: leave it out", 400},
		{`{"event": "a", "to": ["x", ""]}`, "to: the name at index 1 has 0 bytes", 400},
		{`{"event": "a", "to": "x"}`, "cannot unmarshal", 400},
		{`{"event": "a", "except": [""]}`, "except: the name at index 0", 400},
		{`{"event": "a", "namespace": "/nowhere"}`, `there is no namespace "/nowhere"`, 404},
		{`{"event": "a", "id": "` + strings.Repeat("i", 257) + `"}`, "id has 257 bytes", 400},
		{`{"event": "a", "args": [{"$binary": "?"}]}`, "is not base64 (RFC 4648, section 4) at byte 0", 400},
		{`{"event": "a", "args": [{"$binary": 7}]}`, `"$binary" must be a string`, 400},
		{`{"event": "a", "args": [{"$binary": null}]}`, `"$binary" must be a string`, 400},
		{`{"event": "a", "args": [{"$binary": "", "b": 1}]}`, "has nothing else in it", 400},
		{`{"event": "a", "args": [{"b": 1, "$binary": ""}]}`, "has nothing else in it", 400},
		{`{"event": "a", "args": [{"$part": "x"}]}`, `the body has no part "x"`, 400},
		{`{"event": "a", "args": ["$", {"_placeholder": true, "num": 0, "$": 1}]}`, "cannot be sent", 400},
		{`{"event": "a", "args": [` + strings.Repeat("[", 65) + `"$"` + strings.Repeat("]", 65) + `]}`, "nests deeper than 64 levels", 400},
		{`{"event": "a", "args": ["` + strings.Repeat("x", 2000) + `"]}`, "more than 2000 bytes", 413},
		{`[` + strings.Repeat(`{},`, maxEvents) + `{}]`, "more than 2000 bytes", 413},
	} {
		status, answer, _ := s.do("POST", "", strings.NewReader(c.body))
		var got struct{ Error string }
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != c.status || !strings.Contains(got.Error, c.want) {
			t.Errorf("%.60s: %d %s, want %d %s", c.body, status, answer, c.status, c.want)
		}
	}
	if status, answer, _ := s.do("POST", "", strings.NewReader(`{"event": "a"}`), "Content-Type", "text/plain"); status != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %d %s", status, answer)
	}
	if status, _, header := s.do("PUT", "", nil); status != http.StatusMethodNotAllowed || header.Get("Allow") == "" {
		t.Errorf("PUT: %d, Allow %q", status, header.Get("Allow"))
	}
	for _, parts := range [][]string{{"message", `{"event": "a"}`, "message", `{}`}, {"x", "1", "x", "2"}, {"x", "1"}, {"", "1"}} {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		for i := 0; i < len(parts); i += 2 {
			_ = form.WriteField(parts[i], parts[i+1])
		}
		_ = form.Close()
		if status, answer, _ := s.do("POST", "", &body, "Content-Type", form.FormDataContentType()); status != http.StatusBadRequest {
			t.Errorf("parts %q: %d %s", parts, status, answer)
		}
	}
	// Nothing of all that was sent, lists with one wrong event in them included.
	s.post(`{"event": "last"}`, `{"receivers":1}`)
	s.read(conn, `42["last"]`)
}

func TestEventsWithAnIDAreSentOnce(t *testing.T) {
	s := newSite(t, Options{})
	conn := s.client("/", "")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { s.post(`{"event": "paid", "args": [7], "id": "order-7"}`, `{"receivers":1}`) })
	}
	group.Wait()
	status, answer, _ := s.do("POST", "", strings.NewReader(`{"event": "paid", "args": [8], "id": "order-7"}`))
	if status != http.StatusConflict {
		t.Errorf("another event with that id: %d %s", status, answer)
	}
	// Another namespace has ids of its own.
	s.post(`{"event": "paid", "args": [7], "id": "order-7", "namespace": "/news"}`, `{"receivers":0}`)
	s.post(`{"event": "last"}`, `{"receivers":1}`)
	s.read(conn, `42["paid",7]`)
	s.read(conn, `42["last"]`)
}

func TestRememberedIDsAreBounded(t *testing.T) {
	r := newRepeats(nil)
	sent := 0
	send := func() (int, error) { sent++; return 1, nil }
	for i := range maxRepeats + 100 {
		_, _ = r.once(fmt.Sprint(i), [32]byte{}, send)
	}
	if r.order.Len() > maxRepeats || len(r.byID) != r.order.Len() {
		t.Errorf("%d are remembered, by %d ids", r.order.Len(), len(r.byID))
	}
	sent = 0
	_, _ = r.once(fmt.Sprint(maxRepeats+99), [32]byte{}, send)
	if _, _ = r.once("0", [32]byte{}, send); sent != 1 {
		t.Errorf("%d of a new and a forgotten id were sent", sent)
	}
}

func TestEventsAreBoundedByTheirRate(t *testing.T) {
	s := newSite(t, Options{Rate: &pace.Rate{Amount: 1, Per: time.Hour, Burst: 3}})
	s.post(`{"event": "a"}`, `{"receivers":0}`)
	// A list that is let in is let in whole, and what follows waits for it.
	s.post(`[{"event": "a"}, {"event": "a"}, {"event": "a"}]`, `{"receivers":0}`)
	status, answer, header := s.do("POST", "", strings.NewReader(`{"event": "a"}`))
	if status != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Errorf("%d %s, Retry-After %q", status, answer, header.Get("Retry-After"))
	}
	if status, _, _ := s.do("GET", "", nil); status != http.StatusOK {
		t.Errorf("reading is answered %d", status)
	}
}

func TestWhoIsThere(t *testing.T) {
	s := newSite(t, Options{})
	for range 3 {
		s.client("/", "red")
	}
	s.client("/", "")
	s.client("/news", "red")
	get := func(query string, count, listed int) present {
		t.Helper()
		status, answer, _ := s.do("GET", query, nil)
		var got present
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK || got.Count != count || len(got.Sockets) != listed {
			t.Errorf("%s: %d %s, want %d of %d", query, status, answer, listed, count)
		}
		return got
	}
	get("", 4, 4)
	get("?room=red", 3, 3)
	get("?room=green", 0, 0)
	get("?room=red&namespace=news", 1, 1)
	first := get("?limit=3", 4, 3)
	if last := get("?limit=3&after="+first.Next, 4, 1); last.Next != "" || last.Sockets[0].ID <= first.Next {
		t.Errorf("the second page is %v", last)
	}
	for _, query := range []string{"?room=", "?limit=0", "?limit=x", "?limit=1001", "?who=x", "?room=a&room=b", "?namespace=/nowhere", "?a;b"} {
		if status, answer, _ := s.do("GET", query, nil); status != http.StatusBadRequest && status != http.StatusNotFound {
			t.Errorf("%s: %d %s", query, status, answer)
		}
	}
}

// named gives every client the identity that it asks for.
type named struct{}

func (named) Authenticate(_ context.Context, c *streaming.Credentials) (*streaming.Identity, error) {
	id, _ := c.Auth.Text("name")
	return &streaming.Identity{ID: id}, nil
}

func TestIdentitiesAreDisconnected(t *testing.T) {
	s := newSite(t, Options{})
	if err := s.server.Of("/").Use(authenticated{}); err != nil {
		t.Fatal(err)
	}
	ada, adaAgain, bob := s.clientNamed("ada"), s.clientNamed("ada"), s.clientNamed("bob")
	if status, answer, _ := s.do("DELETE", "", nil); status != http.StatusBadRequest {
		t.Errorf("nobody: %d %s", status, answer)
	}
	if status, answer, _ := s.do("DELETE", "?identity=ada&namespace=/nowhere", nil); status != http.StatusNotFound {
		t.Errorf("no namespace: %d %s", status, answer)
	}
	if status, answer, _ := s.do("DELETE", "?identity=nobody", nil); status != http.StatusOK || answer != `{"disconnected":0}` {
		t.Errorf("nobody of that name: %d %s", status, answer)
	}
	if status, answer, _ := s.do("DELETE", "?identity=ada", nil); status != http.StatusOK || answer != `{"disconnected":2}` {
		t.Errorf("ada: %d %s", status, answer)
	}
	for _, conn := range []*rawclient.Conn{ada, adaAgain} {
		s.read(conn, `42["error"`)
		s.read(conn, "41")
	}
	s.post(`{"event": "last"}`, `{"receivers":1}`)
	s.read(bob, `42["last"]`)
}

type authenticated struct{}

func (authenticated) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(named{})
}

// FuzzBody holds that no body makes the endpoint fail, or say that it did what it did not.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"event": "a", "args": [{"$binary": "AAEC"}, {"\u0024part": "x"}]}`, `[{"event": "a", "to": ["b"]}]`,
		`{"event": "a", "args": [{"_placeholder": true, "num": 0}, "$"]}`, `{"event": "a", "args": [[[{"$": {"$binary": ""}}]]]}`,
	} {
		f.Add([]byte(seed), []byte("x"))
	}
	server := streaming.New(streaming.Options{}, slog.New(slog.DiscardHandler))
	if err := server.Of("/").Use(joiner{}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body, part []byte) {
		list, err := parse(body, map[string][]byte{"x": part})
		if err != nil {
			return
		}
		for _, m := range list {
			if m.check(server) != nil {
				continue
			}
			n := len(m.args.Attachments())
			text := append([]byte(`2["a"`), ',')
			if n > 0 {
				text = fmt.Appendf(nil, `5%d-["a",`, n)
			}
			args := m.args.AppendJSON(nil)[1:]
			if len(args) == 1 {
				text = text[:len(text)-1]
			}
			p, err := packet.Decode(append(text, args...), n)
			if err != nil || p.Missing() != n {
				t.Errorf("%s became %s, which clients do not take: %v", m.Args, args, err)
			}
		}
	})
}
