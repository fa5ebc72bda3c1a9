package engineio

import (
	"net/http"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// TestParametersGivenTwiceAreRefused holds that a request has one meaning, whoever reads it.
func TestParametersGivenTwiceAreRefused(t *testing.T) {
	s := newServer(t, Options{})
	p, _ := s.poller(t)
	for _, query := range []string{
		rawclient.Query(rawclient.Polling, "") + "&transport=websocket",
		rawclient.Query(rawclient.Polling, "") + "&EIO=3",
		rawclient.Query(rawclient.Polling, p.Open.SID) + "&sid=x",
		rawclient.Query(rawclient.Polling, "x") + "&sid=" + p.Open.SID,
	} {
		answer := need(s.client.Do(t.Context(), http.MethodGet, query, nil, nil))(t)
		expectRefused(t, answer, http.StatusBadRequest, CodeBadRequest)
	}
}
