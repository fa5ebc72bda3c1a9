package eventstest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// FuzzClient is a client on long-polling whose requests go to the server
// without a network, which would take nine tenths of the time.
type FuzzClient struct {
	server *Server
	query  string
	// probe is an event that is acknowledged, whatever the answer.
	probe string
	// answer is the last one.
	answer string
	// Got are the packets that came until the last probe was answered.
	Got []string
}

// NewFuzzClient connects a client to the main namespace.
func (s *Server) NewFuzzClient(t testing.TB, probe string) *FuzzClient {
	t.Helper()
	c := &FuzzClient{server: s, query: rawclient.Query(rawclient.Polling, ""), probe: probe}
	status, body := c.request(http.MethodGet, "")
	var open rawclient.Open
	if text, ok := strings.CutPrefix(body, "0"); !ok || json.Unmarshal([]byte(text), &open) != nil {
		t.Fatalf("want an open packet, got %d, %q", status, body)
	}
	c.query = rawclient.Query(rawclient.Polling, open.SID)
	for method, packet := http.MethodPost, "40"; !strings.Contains(c.answer, `40{"sid"`); method, packet = http.MethodGet, "" {
		if !c.accepted(t, method, packet) {
			t.Fatal("the connection has ended")
		}
	}
	return c
}

func (c *FuzzClient) request(method, body string) (status int, answer string) {
	r := httptest.NewRequest(method, "/socket.io/?"+c.query, strings.NewReader(body))
	w := httptest.NewRecorder()
	c.server.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// Says sends packets, and polls until they have all been dealt with. It
// reports whether the connection lives.
func (c *FuzzClient) Says(t testing.TB, packets ...string) (alive bool) {
	t.Helper()
	const id = "1000000"
	packets = append(packets, "42"+id+c.probe)
	c.Got = nil
	if !c.accepted(t, http.MethodPost, strings.Join(packets, rawclient.Separator)) {
		return false
	}
	for c.accepted(t, http.MethodGet, "") {
		packets := strings.Split(c.answer, rawclient.Separator)
		c.Got = append(c.Got, packets...)
		if slices.Contains(packets, "2") && !c.accepted(t, http.MethodPost, "3") {
			return false
		}
		for _, packet := range packets {
			switch {
			case strings.HasPrefix(packet, "43"+id):
				return true
			case packet == "1":
				return false
			}
		}
	}
	return false
}

// accepted reports whether a request got an answer, and not a refusal since the
// connection has ended.
func (c *FuzzClient) accepted(t testing.TB, method, body string) bool {
	t.Helper()
	var status int
	status, c.answer = c.request(method, body)
	if status != http.StatusOK && status != http.StatusBadRequest {
		t.Fatalf("%s was answered by %d, %q", method, status, c.answer)
	}
	return status == http.StatusOK
}

// Attack has a client of its own send messages, up to a separator each, binary
// when they begin with a "b", and leave.
func (s *Server) Attack(t testing.TB, probe string, messages []byte) {
	t.Helper()
	var packets []string
	for message := range bytes.SplitSeq(messages, []byte(rawclient.Separator)) {
		packet := "4" + string(message)
		if data, ok := bytes.CutPrefix(message, []byte("b")); ok {
			packet = "b" + base64.StdEncoding.EncodeToString(data)
		}
		packets = append(packets, packet)
	}
	c := s.NewFuzzClient(t, probe)
	if c.Says(t, packets...) {
		c.request(http.MethodPost, "1")
	}
}
