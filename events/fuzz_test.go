package events

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

// FuzzEvent has a client send arbitrary messages to the streaming service: up
// to a separator each, binary when it begins with a "b". The client is then
// connected or not; nothing panics, and others are not disturbed.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		`2["stream:start"]`,
		`2["stream:start",{"streamId":"one"}]` + "\x1e" + `27["stream:data",{"streamId":"one"}]` + "\x1e" + `2["stream:stop",{"streamId":"one"}]`,
		`51-["stream:start",{"streamId":"one","header":` + placeholder0 + "}]\x1ebheader\x1e" + `20["stream:join",{"streamId":"one"}]`,
		`51-["stream:data",{"streamId":"two","chunk":` + placeholder0 + "}]\x1eb\xff",
		`2["stream:data",{"streamId":"witness"}]` + "\x1e" + `2["stream:data",{"streamId":"mine","STREAMID":"witness"}]`,
		`2["stream:data",{"streamId":7}]` + "\x1e" + `2["stream:stop",{"stre\u0061mId":"witness"}]` + "\x1e" + `2["stream:leave",{"streamId":""}]`,
		`2["message",[[[[]]]]]` + "\x1e" + `2["disconnect"]` + "\x1e1\x1e0",
		`2{}`, "b", "0\x1e0", `51-["message",` + placeholder0 + `]`, `3999[]`, "\x1e\x1e", `2[null]`,
	} {
		f.Add([]byte(seed))
	}
	s := newService(f, &Streaming{Audience: AudienceAll, Replay: ReplayFirst, MaxStreams: 5})
	const probe = `["stream:join",{}]`
	witness := s.newFuzzClient(f, probe)
	witness.says(f, `42["stream:start",{"streamId":"witness"}]`)
	owner := s.streamsOf().get("witness").owner
	f.Fuzz(func(t *testing.T, messages []byte) {
		s.attack(t, probe, messages)
		witness.says(t)
		if s.errors.Load() > 0 {
			t.Fatal("something has panicked")
		}
		if stream := s.streamsOf().get("witness"); stream == nil || stream.owner != owner {
			t.Fatal("a stream was taken from its owner")
		}
	})
}

// fuzzClient is a client on long-polling whose requests go to the server
// without a network, which would take nine tenths of the time.
type fuzzClient struct {
	service *service
	query   string
	// probe is an event that is acknowledged, whatever the answer.
	probe string
	// answer is the last one, and got are the packets that came until the last
	// probe was answered.
	answer string
	got    []string
}

// newFuzzClient connects a client to the main namespace.
func (s *service) newFuzzClient(t testing.TB, probe string) *fuzzClient {
	t.Helper()
	c := &fuzzClient{service: s, query: rawclient.Query(rawclient.Polling, ""), probe: probe}
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

func (c *fuzzClient) request(method, body string) (status int, answer string) {
	r := httptest.NewRequest(method, "/socket.io/?"+c.query, strings.NewReader(body))
	w := httptest.NewRecorder()
	c.service.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// says sends packets, and polls until they have all been dealt with. It
// reports whether the connection lives.
func (c *fuzzClient) says(t testing.TB, packets ...string) (alive bool) {
	t.Helper()
	const id = "1000000"
	packets = append(packets, "42"+id+c.probe)
	c.got = nil
	if !c.accepted(t, http.MethodPost, strings.Join(packets, rawclient.Separator)) {
		return false
	}
	for c.accepted(t, http.MethodGet, "") {
		packets := strings.Split(c.answer, rawclient.Separator)
		c.got = append(c.got, packets...)
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
func (c *fuzzClient) accepted(t testing.TB, method, body string) bool {
	t.Helper()
	var status int
	status, c.answer = c.request(method, body)
	if status != http.StatusOK && status != http.StatusBadRequest {
		t.Fatalf("%s was answered by %d, %q", method, status, c.answer)
	}
	return status == http.StatusOK
}

// attack has a client of its own send messages, up to a separator each, binary
// when they begin with a "b", and leave.
func (s *service) attack(t testing.TB, probe string, messages []byte) {
	t.Helper()
	var packets []string
	for message := range bytes.SplitSeq(messages, []byte(rawclient.Separator)) {
		packet := "4" + string(message)
		if data, ok := bytes.CutPrefix(message, []byte("b")); ok {
			packet = "b" + base64.StdEncoding.EncodeToString(data)
		}
		packets = append(packets, packet)
	}
	c := s.newFuzzClient(t, probe)
	if c.says(t, packets...) {
		c.request(http.MethodPost, "1")
	}
}
