package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

// TestPollingOverHTTP3 carries a conversation over HTTP/3: a pending poll and a POST share one QUIC
// connection. A WebSocket over HTTP/3, which quic-go lets clients ask for, is refused cleanly.
func TestPollingOverHTTP3(t *testing.T) {
	port := testport.Reserve(t)
	storage := t.TempDir()
	config, _, err := caddyAdapter().Adapt(fmt.Appendf(nil, `{
	admin off
	persist_config off
	auto_https disable_redirects
	skip_install_trust
	grace_period 1s
	storage file_system %s
}
https://localhost:%s {
	bind 127.0.0.1
	tls internal
	socketio_stream
}`, storage, port), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	root, err := os.ReadFile(filepath.Join(storage, "pki", "authorities", "local", "root.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS13}}
	t.Cleanup(func() { _ = transport.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	exchange := func(method, query, body string, header http.Header) (int, string, error) {
		r, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("https://localhost:%s/socket.io/?EIO=4&transport=%s", port, query), strings.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		for name := range header {
			r.Header.Set(name, header.Get(name))
		}
		response, err := transport.RoundTrip(r)
		if err != nil {
			return 0, "", err
		}
		defer response.Body.Close()
		if response.ProtoMajor != 3 {
			return 0, "", fmt.Errorf("came over %s", response.Proto)
		}
		content, err := io.ReadAll(response.Body)
		return response.StatusCode, string(content), err
	}

	// The certificate is obtained in the background: until then handshakes fail.
	var body string
	for {
		var status int
		status, body, err = exchange("GET", "polling", "", nil)
		if err == nil && status == http.StatusOK {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("handshake: %d %s (%v)", status, body, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	var handshake struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &handshake); err != nil {
		t.Fatalf("handshake: %s (%v)", body, err)
	}
	query := "polling&sid=" + handshake.SID
	if status, body, err := exchange("POST", query, "40", nil); status != http.StatusOK || body != "ok" {
		t.Fatalf("POST: %d %s (%v)", status, body, err)
	}
	if _, body, err := exchange("GET", query, "", nil); !strings.HasPrefix(body, "40{") {
		t.Fatalf("GET: %s (%v)", body, err)
	}

	polled := make(chan string, 1)
	go func() {
		_, body, err := exchange("GET", query, "", nil)
		polled <- fmt.Sprint(body, err)
	}()
	if status, body, err := exchange("POST", query, `42["stream:start",{"streamId":"h3"}]`, nil); status != http.StatusOK || body != "ok" {
		t.Fatalf("POST beside a poll: %d %s (%v)", status, body, err)
	}
	if got := <-polled; !strings.Contains(got, `42["stream:started",{"status":"ok","streamId":"h3"}]`) {
		t.Fatalf("the pending poll got %s", got)
	}

	upgrade := http.Header{"Sec-WebSocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-WebSocket-Version": {"13"}}
	if status, body, err := exchange("GET", "websocket", "", upgrade); status != http.StatusBadRequest || !strings.Contains(body, `"code":3`) {
		t.Fatalf("a WebSocket over HTTP/3: %d %s (%v)", status, body, err)
	}
}
