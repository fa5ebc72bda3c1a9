package socketiostream

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/clientaddr"
)

func TestStatusAccess(t *testing.T) {
	for _, test := range []struct {
		name    string
		allow   []string
		address string
		code    int
	}{
		{"loopback", nil, "127.0.0.1", 200},
		{"loopback IPv6", nil, "::1", 200},
		{"loopback, IPv4 in IPv6", nil, "::ffff:127.0.0.1", 200},
		{"private", nil, "10.20.30.40", 200},
		{"private 172", nil, "172.31.0.1", 200},
		{"private IPv6", nil, "fd12::1", 200},
		{"public", nil, "192.0.2.1", 403},
		{"public 172", nil, "172.32.0.1", 403},
		{"public IPv6", nil, "2001:db8::1", 403},
		{"no address", nil, "", 403},
		{"no address but a name", nil, "@", 403},
		{"listed", []string{"192.0.2.0/24"}, "192.0.2.9", 200},
		{"listed, host bits set", []string{"192.0.2.77/24"}, "192.0.2.9", 200},
		{"listed address", []string{"192.0.2.9"}, "192.0.2.9", 200},
		{"listed, zone", []string{"fe80::/10"}, "fe80::1%eth0", 200},
		{"nobody, of private addresses", []string{"none"}, "10.20.30.40", 403},
		{"nobody, of this machine", []string{"none"}, "127.0.0.1", 403},
		{"a list replaces the default", []string{"192.0.2.0/24"}, "127.0.0.1", 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, claim, _ := newTestHandler(t, &Handler{Status: &Status{Paths: []string{"/status"}, Allow: test.allow}})
			w, _ := serve(t, h, onPort("GET", "/status"), test.address)
			if w.Code != test.code {
				t.Errorf("status %d, want %d", w.Code, test.code)
			}
			refused := test.code != http.StatusOK
			if told := w.Body.String() == "The status is not for this client: its address is not in status allow.\n"; refused != told {
				t.Errorf("told %q", w.Body)
			}
			if logged := len(claim.kept) == 1; refused != logged {
				t.Errorf("logged %v", claim.kept)
			}
		})
	}
}

// TestStatusIsNotForWhoWasForwarded holds that an address that a proxy has, or that a client says it
// has, lets nobody read the status, and that the client and the log are told why.
func TestStatusIsNotForWhoWasForwarded(t *testing.T) {
	for _, field := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"} {
		h, claim, _ := newTestHandler(t, &Handler{Status: &Status{Paths: []string{"/status"}}})
		r := onPort("GET", "/status")
		r.Header.Set(field, "127.0.0.1")
		w, _ := serve(t, h, r, "127.0.0.1")
		const want = "The status is not for this client: its address is in status allow, " +
			"but a proxy that is not in trusted_proxies has forwarded the request. The log says what to do.\n"
		if w.Code != http.StatusForbidden || w.Body.String() != want {
			t.Errorf("%s: %d %s", field, w.Code, w.Body)
		}
		if len(claim.kept) != 1 || claim.kept[0].Doubt != clientaddr.UnnamedProxy {
			t.Errorf("%s: logged %v", field, claim.kept)
		}
	}
}

func TestStatusBody(t *testing.T) {
	h, _, _ := newTestHandler(t, &Handler{
		Paths:  []string{"/socket.io/", "/streaming/socket.io/"},
		Status: &Status{Paths: []string{"/status"}},
	})
	w, _ := serve(t, h, onPort("GET", "/status"), "127.0.0.1")
	var got serviceStatus
	decoder := json.NewDecoder(strings.NewReader(w.Body.String()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Service != "socket-io-streaming" || got.Status != "running" || got.Port != "8443" ||
		got.Uptime <= 0 {
		t.Errorf("got %s", w.Body)
	}
	const socketIO = `"socketio":{"connected":3,"path":"/socket.io/","bufferedBytes":1234,"slowClients":5,"volatileDropped":67,"refused":98,` +
		`"identified":2,"authRefused":11,"authExpired":12,"authRefreshed":13,"authRevoked":14,"limited":{"events_per_socket":12,"handshakes_per_ip":11},"metrics":{`
	if !strings.Contains(w.Body.String(), socketIO) {
		t.Errorf("got %s, want it to hold %s", w.Body, socketIO)
	}
	m := got.Memory
	if m.RSS == 0 || m.HeapUsed == 0 || m.HeapTotal < m.HeapUsed || m.External == 0 || m.External > m.RSS*8 {
		t.Errorf("memory %+v", m)
	}
	if w, _ := serve(t, h, onPort("DELETE", "/status"), "127.0.0.1"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", w.Code)
	}
}
