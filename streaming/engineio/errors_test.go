package engineio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// TestErrorCodes asks for each error of the protocol, with the status and the
// body that the Node.js implementation has for it.
func TestErrorCodes(t *testing.T) {
	s := newServer(t, Options{})
	p, _ := s.poller(t)
	conn, _ := s.connect(t)

	tests := []struct {
		name   string
		method string
		query  string
		body   string
		want   string
	}{
		{"no transport", "GET", "EIO=4", "", `{"code":0,"message":"Transport unknown"}`},
		{"unknown transport", "GET", "EIO=4&transport=tarzan", "", `{"code":0,"message":"Transport unknown"}`},
		{"transport with a name of objects", "GET", "EIO=4&transport=constructor", "", `{"code":0,"message":"Transport unknown"}`},
		{"unknown transport before unknown session", "GET", "EIO=4&transport=x&sid=y", "", `{"code":0,"message":"Transport unknown"}`},
		{"unknown session", "GET", "EIO=4&transport=polling&sid=test", "", `{"code":1,"message":"Session ID unknown"}`},
		{"unknown session in a POST", "POST", "EIO=4&transport=polling&sid=test", "4x", `{"code":1,"message":"Session ID unknown"}`},
		{"handshake by POST", "POST", "EIO=4&transport=polling", "4x", `{"code":2,"message":"Bad handshake method"}`},
		{"handshake by OPTIONS", "OPTIONS", "EIO=4&transport=polling", "", `{"code":2,"message":"Bad handshake method"}`},
		{"handshake by PUT, wrong revision", "PUT", "EIO=3&transport=polling", "", `{"code":2,"message":"Bad handshake method"}`},
		{"websocket without an upgrade", "GET", "EIO=4&transport=websocket", "", `{"code":3,"message":"Bad request"}`},
		{"websocket without an upgrade, in a session", "GET", "EIO=4&transport=websocket&sid=" + p.Open.SID, "", `{"code":3,"message":"Bad request"}`},
		{"polling in a websocket session", "GET", "EIO=4&transport=polling&sid=" + conn.Open.SID, "", `{"code":3,"message":"Bad request"}`},
		{"POST in a websocket session", "POST", "EIO=4&transport=polling&sid=" + conn.Open.SID, "4x", `{"code":3,"message":"Bad request"}`},
		{"DELETE in a session", "DELETE", "EIO=4&transport=polling&sid=" + p.Open.SID, "", `{"code":3,"message":"Bad request"}`},
		{"malformed query", "GET", "EIO=4&transport=polling&x=%zz", "", `{"code":3,"message":"Bad request"}`},
		{"revision 3", "GET", "EIO=3&transport=polling", "", `{"code":5,"message":"Unsupported protocol version"}`},
		{"revision 5", "GET", "EIO=5&transport=polling", "", `{"code":5,"message":"Unsupported protocol version"}`},
		{"no revision", "GET", "transport=polling", "", `{"code":5,"message":"Unsupported protocol version"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := need(s.client.Do(t.Context(), test.method, test.query, strings.NewReader(test.body), nil))(t)
			expect(t, "status", r.Status, http.StatusBadRequest)
			expect(t, "body", r.Body, test.want)
			expect(t, "content type", r.Header.Get("Content-Type"), "application/json")
			expect(t, "cache control", r.Header.Get("Cache-Control"), "no-store")
		})
	}
	expect(t, "open sessions", s.Sessions(), 2)

	// What was refused has harmed nobody.
	r := need(p.Post(t.Context(), "4x"))(t)
	expect(t, "post", r.Body, "ok")
	must(t, conn.WriteText("4x"))
	s.recorder(t, conn.Open.SID).waitFor(t, 1)
}

func TestForbiddenIsAnsweredAsTheProtocolHasIt(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, http.StatusForbidden, CodeForbidden)
	expect(t, "status", w.Code, http.StatusForbidden)
	expect(t, "body", w.Body.String(), `{"code":4,"message":"Forbidden"}`)
	expect(t, "status of the code", refuse(CodeForbidden, "").Status, http.StatusForbidden)
}

// TestWebSocketErrors asks for errors with requests for a WebSocket.
func TestWebSocketErrors(t *testing.T) {
	s := newServer(t, Options{})
	tests := []struct {
		name   string
		query  string
		header http.Header
		want   ErrorCode
	}{
		{"unknown transport", "EIO=4&transport=tarzan", nil, CodeUnknownTransport},
		{"unknown session", "EIO=4&transport=websocket&sid=test", nil, CodeUnknownSID},
		{"revision 3", "EIO=3&transport=websocket", nil, CodeUnsupportedVersion},
		{"no revision", "transport=websocket", nil, CodeUnsupportedVersion},
		{"no key", rawclient.Query(rawclient.WebSocket, ""), http.Header{"Sec-Websocket-Key": nil}, CodeBadRequest},
		{"short key", rawclient.Query(rawclient.WebSocket, ""), http.Header{"Sec-Websocket-Key": {"c2hvcnQ="}}, CodeBadRequest},
		{"wrong version", rawclient.Query(rawclient.WebSocket, ""), http.Header{"Sec-Websocket-Version": {"8"}}, CodeBadRequest},
		{"wrong upgrade", rawclient.Query(rawclient.WebSocket, ""), http.Header{"Upgrade": {"h2c"}}, CodeBadRequest},
		{"no upgrade", rawclient.Query(rawclient.WebSocket, ""), http.Header{"Connection": {"keep-alive"}}, CodeBadRequest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client := rawclient.New(s.client.Endpoint)
			defer client.Close()
			client.Header = test.header
			conn, err := client.Dial(t.Context(), test.query)
			expectRefused(t, refused(t, conn, err), http.StatusBadRequest, test.want)
		})
	}
	expect(t, "open sessions", s.Sessions(), 0)
}

func TestTransportsThatAreOff(t *testing.T) {
	t.Run("websocket", func(t *testing.T) {
		s := newServer(t, Options{Transports: []Transport{Polling}})
		p, _ := s.poller(t)
		expect(t, "upgrades", len(p.Open.Upgrades), 0)
		for _, query := range []string{rawclient.Query(rawclient.WebSocket, ""), p.Query(rawclient.WebSocket)} {
			conn, err := s.client.Dial(t.Context(), query)
			expectRefused(t, refused(t, conn, err), http.StatusBadRequest, CodeUnknownTransport)
		}
	})
	t.Run("polling", func(t *testing.T) {
		s := newServer(t, Options{Transports: []Transport{WebSocket}})
		r := need(s.client.Do(t.Context(), "GET", rawclient.Query(rawclient.Polling, ""), nil, nil))(t)
		expectRefused(t, r, http.StatusBadRequest, CodeUnknownTransport)
		s.connect(t)
	})
	t.Run("upgrades", func(t *testing.T) {
		s := newServer(t, Options{DisableUpgrades: true})
		p, recorder := s.poller(t)
		expect(t, "upgrades", len(p.Open.Upgrades), 0)
		s.expectClosedUnused(t, p)
		need(p.Post(t.Context(), "4still here"))(t)
		recorder.waitFor(t, 1)
		s.connect(t)
	})
}

func TestMaxSessionsAnswers503WithRetryAfter(t *testing.T) {
	s := newServer(t, Options{MaxSessions: 2})
	p, _ := s.poller(t)
	conn, recorder := s.connect(t)

	full := func(t *testing.T, r rawclient.Response) {
		t.Helper()
		expect(t, "status", r.Status, http.StatusServiceUnavailable)
		expectRetryAfter(t, r.Header)
	}
	full(t, need(s.client.Do(t.Context(), "GET", rawclient.Query(rawclient.Polling, ""), nil, nil))(t))
	third, err := s.client.Dial(t.Context(), rawclient.Query(rawclient.WebSocket, ""))
	full(t, refused(t, third, err))
	expect(t, "open sessions", s.Sessions(), 2)

	// Those who are in stay, and may upgrade.
	upgraded := need(p.Upgrade(t.Context()))(t)
	defer func() { _ = upgraded.Close() }()

	// A place that is given up can be taken again.
	must(t, conn.Close())
	recorder.waitClosed(t, ReasonTransportClose)
	s.connect(t)
	full(t, need(s.client.Do(t.Context(), "GET", rawclient.Query(rawclient.Polling, ""), nil, nil))(t))
}

// TestOptionsChangeForNewSessions changes the options while a session lives.
func TestOptionsChangeForNewSessions(t *testing.T) {
	s := newServer(t, Options{MaxPayload: 100})
	before, _ := s.poller(t)
	s.SetOptions(Options{MaxPayload: 10})
	after, _ := s.poller(t)
	expect(t, "limit before", before.Open.MaxPayload, 100)
	expect(t, "limit after", after.Open.MaxPayload, 10)
	long := "4" + strings.Repeat("x", 50)
	expect(t, "status before", need(before.Post(t.Context(), long))(t).Status, http.StatusOK)
	expect(t, "status after", need(after.Post(t.Context(), long))(t).Status, http.StatusRequestEntityTooLarge)
}

func TestHTTP2(t *testing.T) {
	s := newEngine(t, Options{MaxPayload: 1 << 20})
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	s.http = server
	s.client = rawclient.New(server.URL + "/socket.io/")
	s.client.HTTP = server.Client()
	t.Cleanup(s.client.Close)

	p, recorder := s.poller(t)
	expect(t, "protocol", p.Answer.Proto, "HTTP/2.0")
	expect(t, "secure", recorder.session.Handshake().Secure, true)

	t.Run("websocket is refused", func(t *testing.T) {
		for _, query := range []string{rawclient.Query(rawclient.WebSocket, ""), p.Query(rawclient.WebSocket)} {
			r := need(s.client.Do(t.Context(), "GET", query, nil, nil))(t)
			expectRefused(t, r, http.StatusBadRequest, CodeBadRequest)
		}
	})
	t.Run("polling", func(t *testing.T) {
		pending := s.get(t, p)
		expect(t, "post", need(p.Post(t.Context(), "4hello", "bAQI="))(t).Body, "ok")
		recorder.waitFor(t, 2)
		recorder.session.Send(text("world"))
		expect(t, "poll", receive(t, pending).Body, "4world")
	})
	t.Run("second poll", func(t *testing.T) {
		p, recorder := s.poller(t)
		pending := s.get(t, p)
		expectRefused(t, need(p.Get(t.Context()))(t), http.StatusBadRequest, CodeBadRequest)
		expect(t, "first poll", receive(t, pending).Body, "1")
		recorder.waitClosed(t, ReasonTransportError)
	})
	t.Run("abandoned poll", func(t *testing.T) {
		p, recorder := s.poller(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := p.Get(ctx)
			ended <- err
		}()
		awaitPending(t, recorder.session)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the poll ended with %v", err)
		}
		recorder.waitClosed(t, ReasonTransportError)
	})
	t.Run("body over the limit", func(t *testing.T) {
		p, recorder := s.poller(t)
		// A reader without a length: no Content-Length is sent.
		body := struct{ *strings.Reader }{strings.NewReader(strings.Repeat("4", 2<<20))}
		r := need(s.client.Do(t.Context(), "POST", p.Query(rawclient.Polling), body, nil))(t)
		expect(t, "status", r.Status, http.StatusRequestEntityTooLarge)
		recorder.waitClosed(t, ReasonTooLarge)
	})
	t.Run("close", func(t *testing.T) {
		pending := s.get(t, p)
		recorder.session.Close(ReasonForcedClose)
		expect(t, "poll", receive(t, pending).Body, "1")
		recorder.waitClosed(t, ReasonForcedClose)
	})
}

// TestRefusalsAreNamedAsTheyAreCounted holds that a refusal's cause is the word
// of the metric that counts it.
func TestRefusalsAreNamedAsTheyAreCounted(t *testing.T) {
	for _, refusal := range []*RequestError{
		refuse(CodeUnknownSID, ""), refuse(CodeForbidden, ""), refuseStatus(413, ""), refuseStatus(500, ""), refuseStatus(101, ""),
		refuseForLater(causeStopping, ""), refuseForLater(causeMaxSessions, ""), refuseForLater(causeServerBuffer, ""),
		refuseForLater(causeHandshakeRate, ""), refuseLimit(0, LimitConnections, time.Second),
	} {
		s := newEngine(t, Options{})
		s.metrics.refused(refusal)
		for _, counted := range s.Metrics().Refusals {
			if (counted.Count > 0) != (counted.Reason == refusal.Cause()) {
				t.Errorf("%v has the cause %q and is counted %d times as %q", refusal, refusal.Cause(), counted.Count, counted.Reason)
			}
		}
	}
}

func TestRefusalIsItsCode(t *testing.T) {
	err := fmt.Errorf("serve: %w", refuse(CodeUnknownSID, "no session"))
	expect(t, "its own code", errors.Is(err, CodeUnknownSID), true)
	expect(t, "another code", errors.Is(err, CodeForbidden), false)
	expect(t, "no code", errors.Is(refuseStatus(413, ""), CodeBadRequest), false)
}
