package socketiostream

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

func TestEngineOptions(t *testing.T) {
	h := &Handler{
		SendBuffer:        100_000,
		HubBuffer:         200_000,
		PerMessageDeflate: &Compression{Threshold: 300},
		HTTPCompression:   new(Compression),
	}
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	got := h.server().Engine
	if got.SendBuffer != 100_000 || got.ServerBuffer != 200_000 {
		t.Errorf("send buffer %d, server buffer %d", got.SendBuffer, got.ServerBuffer)
	}
	if got.Deflate == nil || *got.Deflate != (engineio.Compression{Threshold: 300}) {
		t.Errorf("deflate %+v", got.Deflate)
	}
	if got.HTTPCompression == nil || *got.HTTPCompression != (engineio.Compression{Threshold: 1024}) {
		t.Errorf("HTTP compression %+v", got.HTTPCompression)
	}

	h = new(Handler)
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	got = h.server().Engine
	if got.Deflate != nil || got.HTTPCompression != nil {
		t.Errorf("compression is on by default: deflate %+v, HTTP compression %+v", got.Deflate, got.HTTPCompression)
	}
	if got.HandshakeRate == nil || *got.HandshakeRate != (engineio.Rate{Amount: 1000, Per: time.Second, Burst: 2000}) {
		t.Errorf("handshake rate by default %+v", got.HandshakeRate)
	}
	h = &Handler{HandshakeRate: &option.Rate{Amount: 300, Per: caddy.Duration(time.Minute)}}
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	if got := h.server().Engine.HandshakeRate; *got != (engineio.Rate{Amount: 300, Per: time.Minute, Burst: 600}) {
		t.Errorf("300 a minute are %+v", got)
	}
}

// TestDisagreement holds that handlers of one hub may not differ in what belongs to the hub.
func TestDisagreement(t *testing.T) {
	seven := 7
	for _, test := range []struct {
		name string
		a, b Handler
		want string // "" is agreement
	}{
		{"defaults", Handler{}, Handler{}, ""},
		{"what is no option of the hub", Handler{Paths: []string{"/a/"}}, Handler{Health: []string{"/health"}}, ""},
		{"hub_buffer", Handler{HubBuffer: 5_000_000}, Handler{HubBuffer: 6_000_000}, "hub_buffer is 5000000 at a:1 and 6000000 at b:2"},
		{"per_message_deflate off", Handler{PerMessageDeflate: new(Compression)}, Handler{},
			"per_message_deflate is on from 1024 bytes at a:1 and off at b:2"},
		{"per_message_deflate thresholds", Handler{PerMessageDeflate: &Compression{Threshold: 1}}, Handler{PerMessageDeflate: &Compression{Threshold: 2}},
			"per_message_deflate is on from 1 bytes at a:1 and on from 2 bytes at b:2"},
		{"per_message_deflate, the default written", Handler{PerMessageDeflate: new(Compression)}, Handler{PerMessageDeflate: &Compression{Threshold: 1024}}, ""},
		{"limits", Handler{Limits: &Limits{PendingAcks: &seven}}, Handler{}, "limits pending_acks is 7 at a:1 and 1000 at b:2"},
		{"limits, the defaults written", Handler{Limits: &Limits{Allow: []string{"127.0.0.0/8", "::1"}, HandshakesPerIP: &option.Rate{Amount: 100, Burst: 1000}}}, Handler{}, ""},
		{"http_compression off", Handler{}, Handler{HTTPCompression: new(Compression)},
			"http_compression is off at a:1 and on from 1024 bytes at b:2"},
		{"http_compression thresholds", Handler{HTTPCompression: &Compression{Threshold: 10}}, Handler{HTTPCompression: &Compression{Threshold: 20}},
			"http_compression is on from 10 bytes at a:1 and on from 20 bytes at b:2"},
		{"handshake_rate off", Handler{}, Handler{HandshakeRate: &option.Rate{Off: true}},
			"handshake_rate is 1000/1s with a burst of 2000 at a:1 and off at b:2"},
		{"handshake_rate, the default written", Handler{}, Handler{HandshakeRate: &option.Rate{Amount: 1000, Burst: 2000}}, ""},
		{"cookie", Handler{Cookie: new(Cookie)}, Handler{}, "cookie is on at a:1 and off at b:2"},
		{"cookie names", Handler{Cookie: new(Cookie)}, Handler{Cookie: &Cookie{Name: "b"}}, `cookie name is "io" at a:1 and "b" at b:2`},
		{"cookie, the default written", Handler{Cookie: new(Cookie)}, Handler{Cookie: &Cookie{Name: "io", SameSite: "Lax"}}, ""},
		{"transports", Handler{Transports: []string{"polling"}}, Handler{}, `transports is ["polling"] at a:1 and ["polling","websocket"] at b:2`},
		{"transports in another order", Handler{Transports: []string{"websocket", "polling"}}, Handler{}, ""},
		{"namespaces", Handler{}, Handler{Namespaces: []*Namespace{{Name: "/", EventsRaw: defaultEvents()}, {Name: "/b", EventsRaw: defaultEvents()}}},
			"namespace /b is absent at a:1"},
		{"drain", Handler{Drain: caddy.Duration(time.Second)}, Handler{}, "drain is 1s at a:1 and 5s at b:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.a.DeclaredAt, test.b.DeclaredAt = "a:1", "b:2"
			for _, h := range []*Handler{&test.a, &test.b} {
				if err := resolveOnly(t, h); err != nil {
					t.Fatal(err)
				}
			}
			err := test.a.plan().Disagreement(test.b.plan())
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
