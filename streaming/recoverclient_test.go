package streaming

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// recovering are options of a server whose clients can be recovered.
func recovering() Options { return Options{Recovery: recovery.Options{Window: time.Minute}} }

// recoverable is what a client of the reference implementation knows of its session.
type recoverableClient struct {
	*testClient
	sid, pid, offset string
	recovered        bool
}

// payload is what the client shows when it connects: its pid and offset, and more.
func (r *recoverableClient) payload(more string) string {
	var fields []string
	if r.pid != "" {
		fields = append(fields, fmt.Sprintf(`"pid":%q`, r.pid))
	}
	if r.offset != "" {
		fields = append(fields, fmt.Sprintf(`"offset":%q`, r.offset))
	}
	if more != "" {
		fields = append(fields, more)
	}
	if len(fields) == 0 {
		return ""
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// comeIn connects on a new connection to the main namespace, and shows more than pid and offset.
func (s *testServer) comeIn(r *recoverableClient, more string) {
	s.t.Helper()
	if err := s.tryComeIn(r, engineio.WebSocket, more); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testServer) tryComeIn(r *recoverableClient, transport engineio.Transport, more string) (err error) {
	if r.testClient, err = dialClient(s, transport); err != nil {
		return err
	}
	if err := r.trySend("0" + r.payload(more)); err != nil {
		return err
	}
	m, err := r.read()
	if err != nil {
		return err
	}
	var answer struct{ SID, PID string }
	payload, ok := strings.CutPrefix(m.text, "0")
	if !ok || json.Unmarshal([]byte(payload), &answer) != nil || answer.SID == "" {
		return fmt.Errorf("want the answer to CONNECT, got %v", m)
	}
	r.recovered = answer.PID != "" && answer.PID == r.pid
	r.sid, r.pid = answer.SID, answer.PID
	return nil
}

// recoverableClient connects a client.
func (s *testServer) recoverableClient() *recoverableClient {
	s.t.Helper()
	r := new(recoverableClient)
	s.comeIn(r, "")
	s.t.Cleanup(func() { r.testClient.close() })
	return r
}

// cut cuts the connection, and waits until the socket waits for its client.
func (s *testServer) cut(r *recoverableClient) {
	s.t.Helper()
	socket := s.Find(r.sid)
	r.vanish()
	eventually(s.t, "the socket to wait for its client", func() bool { return !socket.reachable() })
}

// event takes the next event and returns it, without its offset, which it remembers as the reference
// implementation does.
func (r *recoverableClient) event() string {
	r.t.Helper()
	m, err := r.tryEvent()
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *recoverableClient) tryEvent() (string, error) {
	m, err := r.read()
	if err != nil {
		return "", err
	}
	digits, list := m.text[1:], ""
	if at := strings.IndexByte(m.text, '['); at >= 0 {
		digits, list = m.text[1:at], m.text[at:]
	}
	var args []json.RawMessage
	if json.Unmarshal([]byte(list), &args) != nil || m.text[0] != '2' {
		return "", fmt.Errorf("want an event, got %v", m)
	}
	last := args[len(args)-1]
	// A question has a function as its last argument.
	if digits != "" || last[0] != '"' {
		return m.text, nil
	}
	_ = json.Unmarshal(last, &r.offset)
	if !recovery.IsOffset(r.offset) {
		return m.text, nil
	}
	list, _ = strings.CutSuffix(list, ","+string(last)+"]")
	return list + "]", nil
}

// expectEvents takes events, which must be these.
func (r *recoverableClient) expectEvents(want ...string) {
	r.t.Helper()
	for _, w := range want {
		if got := r.event(); got != w {
			r.t.Fatalf("want %s, got %s", w, got)
		}
	}
}

// back has a client come back whose connection was cut, and says whether it is to be recovered.
func (s *testServer) back(r *recoverableClient, recovered bool) {
	s.t.Helper()
	before := r.sid
	s.comeIn(r, "")
	if r.recovered != recovered || (r.sid == before) != recovered {
		s.t.Fatalf("recovered %v, with the ID %s, before %s", r.recovered, r.sid, before)
	}
}

// expectFailed checks what was counted.
func (s *testServer) expectFailed(reason recovery.Reason, want int64) {
	s.t.Helper()
	if failed := s.Metrics().Recovery.Failed; !slices.Contains(failed, recovery.Failure{Reason: reason, Count: want}) {
		s.t.Errorf("want %d of %s: %+v", want, reason, failed)
	}
}
