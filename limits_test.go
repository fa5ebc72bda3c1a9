package socketiostream

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

func TestLimitDefaults(t *testing.T) {
	h := new(Handler)
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	options := h.server()
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
		HandshakesPerIP: &option.Rate{Off: true}, EventsPerSocket: &option.Rate{Amount: 7}, BytesPerSocket: &option.Rate{Burst: 9},
		RoomsPerSocket: &zero, NamespacesPerSocket: &three, PendingAcks: &zero, Attachments: &three, Allow: []string{"none"},
	}}
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	options := h.server()
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
