package engineio

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// knownStatus are the statuses that a client may see.
var knownStatus = []int{
	http.StatusOK,
	http.StatusSwitchingProtocols,
	http.StatusBadRequest,
	http.StatusForbidden,
	http.StatusRequestEntityTooLarge,
	http.StatusServiceUnavailable,
}

// FuzzRequest sends requests to a server with one session on long-polling,
// whose ID stands where the query says SID.
func FuzzRequest(f *testing.F) {
	for _, seed := range []struct{ method, query, header, body string }{
		{"GET", "EIO=4&transport=polling", "", ""},
		{"GET", "EIO=4&transport=polling&sid=SID", "", ""},
		{"POST", "EIO=4&transport=polling&sid=SID", "Content-Type: text/plain", "4hello\x1ebAQID"},
		{"POST", "EIO=4&transport=polling&sid=SID", "Content-Type: application/octet-stream", "\x00\x01\xff4x"},
		{"POST", "EIO=4&transport=polling&sid=SID", "", "1"},
		{"POST", "EIO=4&transport=polling&sid=SID", "", strings.Repeat("4x\x1e", 100)},
		{"POST", "EIO=4&transport=polling", "", ""},
		{"GET", "EIO=4&transport=websocket", "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", ""},
		{"GET", "EIO=4&transport=websocket&sid=SID", "Connection: keep-alive, Upgrade\nUpgrade: WebSocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", ""},
		{"GET", "EIO=3&transport=polling&b64=1&j=0", "Origin: https://example.com", ""},
		{"OPTIONS", "transport=tarzan&%zz", "", ""},
		{"GET", "EIO=4&transport=polling&sid=" + strings.Repeat("x", 200), "", ""},
	} {
		f.Add(seed.method, seed.query, seed.header, []byte(seed.body))
	}
	s := newEngine(f, Options{MaxPayload: 256, MaxSessions: 100})
	handshake := func(t *testing.T) *http.Request {
		return newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil)
	}
	f.Fuzz(func(t *testing.T, method, query, header string, body []byte) {
		s.serveRecorded(t, handshake(t))
		session := s.recorders[len(s.recorders)-1].session
		// Nothing is left for the next request, nor is it in the way of it.
		defer func() {
			for session := range s.table.all() {
				session.abort(ReasonForcedClose)
			}
			if open := s.Sessions(); open != 0 {
				t.Errorf("%d sessions are open", open)
			}
			s.recorders = nil
		}()

		r := &http.Request{
			Method:        method,
			URL:           &url.URL{Path: "/socket.io/", RawQuery: strings.ReplaceAll(query, "SID", session.ID())},
			Proto:         "HTTP/1.1",
			ProtoMajor:    1,
			ProtoMinor:    1,
			Header:        make(http.Header),
			Body:          io.NopCloser(strings.NewReader(string(body))),
			ContentLength: -1,
			Host:          "example.com",
			RemoteAddr:    "192.0.2.1:1234",
		}
		for line := range strings.Lines(header) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
		r = r.WithContext(t.Context())

		w := httptest.NewRecorder()
		// No poll is held long.
		err := s.Server.ServeHTTP(w, r, Inbound{MaxHold: time.Microsecond})
		if !slices.Contains(knownStatus, w.Code) {
			t.Errorf("status %d", w.Code)
		}
		refusal := (*RequestError)(nil)
		if err != nil && !errors.As(err, &refusal) {
			t.Errorf("error %v", err)
		}
		if err == nil && w.Code != http.StatusOK {
			t.Errorf("status %d without an error", w.Code)
		}
		if refusal != nil && refusal.Status != w.Code {
			t.Errorf("status %d, and the error says %d", w.Code, refusal.Status)
		}
		if strings.Contains(w.Body.String(), session.ID()) {
			t.Error("the session's ID was told again")
		}
	})
}
