package socketiostream

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

func TestLimitDefaults(t *testing.T) {
	h := new(Handler)
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	options := h.streamingOptions()
	wantEngine := engineio.Limits{
		Connections: 5000, HalfOpen: 1000,
		Handshakes: &engineio.Rate{Amount: 100, Per: time.Second, Burst: 1000},
		Bytes:      &engineio.Rate{Amount: 10_000_000, Per: time.Second, Burst: 40_000_000},
		Exempt:     []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
	if got := options.Engine.Limits; !reflect.DeepEqual(got, wantEngine) {
		t.Errorf("got %+v, want %+v", got, wantEngine)
	}
	want := streaming.Limits{
		Events: &engineio.Rate{Amount: 500, Per: time.Second, Burst: 2000},
		Rooms:  1000, Namespaces: 64, PendingAcks: 1000, Attachments: 10,
	}
	if got := options.Limits; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLimitsThatAreSet(t *testing.T) {
	zero, three := 0, 3
	h := &Handler{Limits: &Limits{
		ConnectionsPerIP: &zero, HalfOpenPerIP: &three,
		HandshakesPerIP: &RateLimit{Off: true}, EventsPerSocket: &RateLimit{Amount: 7}, BytesPerSocket: &RateLimit{Burst: 9},
		RoomsPerSocket: &zero, NamespacesPerSocket: &three, PendingAcks: &zero, Attachments: &three, Allow: []string{"none"},
	}}
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	options := h.streamingOptions()
	if got, want := options.Engine.Limits, (engineio.Limits{
		HalfOpen: 3, Bytes: &engineio.Rate{Amount: 10_000_000, Per: time.Second, Burst: 9},
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := options.Limits, (streaming.Limits{
		Events: &engineio.Rate{Amount: 7, Per: time.Second, Burst: 14}, Namespaces: 3, Attachments: 3,
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// behindNothing is an Engine.IO server that is told nothing of its requests.
type behindNothing struct{ *engineio.Server }

func (b behindNothing) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	return b.Server.ServeHTTP(w, r, engineio.Inbound{})
}

// TestRefusalsOverALimitAreLoggedByItsName holds that the log says which limit it was, and what to do when it was not the
// client's fault.
func TestRefusalsOverALimitAreLoggedByItsName(t *testing.T) {
	h, _, logs := newTestHandler(t, new(Handler))
	server := engineio.New(engineio.Options{Limits: engineio.Limits{Connections: 1}}, func(*engineio.Session) engineio.Listener { return silent{} }, nil)
	defer server.Close(engineio.ReasonShutdown)
	h.engine = behindNothing{server}
	for _, want := range []int{200, 429} {
		r := httptest.NewRequest(http.MethodGet, "/socket.io/?EIO=4&transport=polling", nil)
		if w, _ := serve(t, h, r, "192.0.2.1"); w.Code != want {
			t.Errorf("status %d, want %d", w.Code, want)
		}
	}
	entries := logs.FilterMessage("request refused").All()
	if len(entries) != 1 {
		t.Fatalf("%d lines", len(entries))
	}
	fields := entries[0].ContextMap()
	if fields["reason"] != "connections_per_ip" || fields["client_ip"] != "192.0.2.1" || !strings.Contains(fields["error"].(string), "trusted_proxies") {
		t.Errorf("logged %v", fields)
	}
}

// silent is a listener that hears nothing.
type silent struct{}

func (silent) Message([]byte, bool) (engineio.Work, error) { return nil, nil }
func (silent) Close(engineio.Reason)                       {}
