package hub

import (
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestFreshConnections holds that a connection counts until its first request, its hijacking or its
// end, and not again.
func TestFreshConnections(t *testing.T) {
	var fresh freshConns
	conns := make([]net.Conn, 4)
	for i := range conns {
		client, server := net.Pipe()
		t.Cleanup(func() { _, _ = client.Close(), server.Close() })
		conns[i] = server
		fresh.note(server, http.StateNew)
	}
	for _, step := range []struct {
		conn  int
		state http.ConnState
		want  int
	}{
		{0, http.StateActive, 3}, {0, http.StateIdle, 3}, {0, http.StateActive, 3}, {0, http.StateClosed, 3},
		{1, http.StateClosed, 2}, {2, http.StateActive, 1}, {2, http.StateHijacked, 1}, {3, http.StateActive, 0}, {3, http.StateIdle, 0},
	} {
		fresh.note(conns[step.conn], step.state)
		if got := fresh.count(); got != step.want {
			t.Errorf("after connection %d was %v: %d are fresh, want %d", step.conn, step.state, got, step.want)
		}
	}
	var group sync.WaitGroup
	for _, conn := range conns {
		group.Go(func() {
			for range 1000 {
				fresh.note(conn, http.StateNew)
				fresh.note(conn, http.StateActive)
			}
		})
	}
	group.Wait()
	if got := fresh.count(); got != 0 {
		t.Errorf("%d are fresh in the end", got)
	}
}

// TestHandOverIsForThoseWhoHold holds that a config that comes to nothing does not open the gate of
// another's handover.
func TestHandOverIsForThoseWhoHold(t *testing.T) {
	old, failed := &generation{holding: true}, new(generation)
	failed.watch(new(caddyhttp.Server))
	handover.shut()
	t.Cleanup(handover.open)
	failed.handOver()
	if !handover.isShut() {
		t.Error("the gate is open")
	}
	old.handOver()
	if handover.isShut() {
		t.Error("the gate is still shut")
	}
}
