package engineio

import (
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

func TestAcceptedQuality(t *testing.T) {
	for _, test := range []struct {
		accept        string
		gzip, deflate float64
	}{
		{"", 0, 0},
		{"gzip", 1, 0},
		{"gzip, deflate", 1, 1},
		{"GZIP;q=0.5, deflate;q=0.8", 0.5, 0.8},
		{"*", 1, 1},
		{"*;q=0.3, gzip;q=0", 0, 0.3},
		{"gzip;q=0, *", 0, 1},
		{"gzip;q=nonsense", 0, 0},
		{"gzip;q=2", 0, 0},
		{"br", 0, 0},
	} {
		accept := []string{test.accept}
		if gzip, deflate := acceptedQuality(accept, "gzip"), acceptedQuality(accept, "deflate"); gzip != test.gzip || deflate != test.deflate {
			t.Errorf("%q: got %v, %v, want %v, %v", test.accept, gzip, deflate, test.gzip, test.deflate)
		}
	}
}

func TestPollAnswersAreCompressed(t *testing.T) {
	long := strings.Repeat("a word, and another; ", 100)
	for _, test := range []struct {
		name, accept, content string
		options               []wire.Flags
		want                  string
	}{
		{"gzip", "gzip, deflate, br", long, nil, "gzip"},
		{"deflate", "gzip;q=0.5, deflate", long, nil, "deflate"},
		{"not accepted", "br", long, nil, ""},
		{"short", "gzip", "short", nil, ""},
		{"not worth it", "gzip", long, []wire.Flags{wire.NoCompress}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, Options{HTTPCompression: &Compression{}})
			s.client.HTTP.Transport.(*http.Transport).DisableCompression = true
			s.client.Header.Set("Accept-Encoding", test.accept)
			p, r := s.poller(t)
			r.session.Send(text(test.content, test.options...))
			answer := need(p.Get(t.Context()))(t)
			expect(t, "encoding", answer.Header.Get("Content-Encoding"), test.want)
			var body io.Reader = strings.NewReader(answer.Body)
			switch test.want {
			case "gzip":
				body = need(gzip.NewReader(body))(t)
			case "deflate":
				body = need(zlib.NewReader(body))(t)
			}
			expect(t, "body", string(need(io.ReadAll(body))(t)), "4"+test.content)
			if test.want != "" {
				expect(t, "vary", answer.Header.Get("Vary"), "Accept-Encoding")
			}
		})
	}
}

// TestPollAnswersAreNotCompressedWithoutMemory holds that an answer for which there is no
// memory goes out as it is.
func TestPollAnswersAreNotCompressedWithoutMemory(t *testing.T) {
	const limit = 200_000
	long := strings.Repeat("a word, and another; ", 3000)
	s := newServer(t, Options{HTTPCompression: &Compression{}, ServerBuffer: limit})
	s.client.HTTP.Transport.(*http.Transport).DisableCompression = true
	s.client.Header.Set("Accept-Encoding", "gzip")
	p, r := s.poller(t)
	others := s.budget.account()
	others.add(limit)
	r.session.Send(text(long))
	answer := need(p.Get(t.Context()))(t)
	expect(t, "encoding without memory", answer.Header.Get("Content-Encoding"), "")
	expect(t, "body", answer.Body, "4"+long)
	others.add(-limit)
	r.session.Send(text(long))
	answer = need(p.Get(t.Context()))(t)
	expect(t, "encoding with memory", answer.Header.Get("Content-Encoding"), "gzip")
}
