package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

// TestAuthByClientCertificate holds that a certificate counts if Caddy has verified it, and not
// otherwise.
func TestAuthByClientCertificate(t *testing.T) {
	dir := t.TempDir()
	authority, authorityKey := newCertificate(t, "Test Authority", nil, nil)
	stranger, strangerKey := newCertificate(t, "Stranger Authority", nil, nil)
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", authority.Raw)
	serverCertificate, serverKey := newCertificate(t, "localhost", authority, authorityKey)
	writePEM(t, filepath.Join(dir, "server.pem"), "CERTIFICATE", serverCertificate.Raw)
	der, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "server.key"), "PRIVATE KEY", der)
	ada, adaKey := newCertificate(t, "ada", authority, authorityKey)
	mallory, malloryKey := newCertificate(t, "ada", stranger, strangerKey)

	port := testport.Reserve(t)
	start := func(clientAuth string) {
		t.Helper()
		config, _, err := caddyAdapter().Adapt(fmt.Appendf(nil, `{
	admin off
	persist_config off
	auto_https disable_redirects
	grace_period 1s
	storage file_system %[1]s
}
https://localhost:%[2]s {
	bind 127.0.0.1
	tls %[1]s/server.pem %[1]s/server.key {
		client_auth {
			%[3]s
		}
	}
	socketio_stream {
		auth caddy
	}
}`, dir, port, clientAuth), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.Load(config, true); err != nil {
			t.Fatal(err)
		}
		(&server{t: t, port: port}).settle()
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	connect := func(certificates ...tls.Certificate) (string, error) {
		config := &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certificates}
		c := rawclient.New("https://localhost:" + port + "/socket.io/")
		c.TLS = config
		c.HTTP.Transport = &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		p, err := c.Handshake(ctx)
		if err != nil {
			return "", err
		}
		if _, err := p.Post(ctx, "40"); err != nil {
			return "", err
		}
		packets, err := p.Poll(ctx)
		if err != nil || len(packets) == 0 {
			return "", err
		}
		return packets[0], nil
	}
	good := tls.Certificate{Certificate: [][]byte{ada.Raw}, PrivateKey: adaKey}
	bad := tls.Certificate{Certificate: [][]byte{mallory.Raw}, PrivateKey: malloryKey}

	start("mode verify_if_given\n trust_pool file " + dir + "/ca.pem")
	if got, err := connect(good); err != nil || !accepted(got) {
		t.Errorf("a certificate that was verified: %s %v", got, err)
	}
	if got, err := connect(); err != nil || !refusedWith(got, "unauthorized") {
		t.Errorf("no certificate: %s %v", got, err)
	}
	// Caddy asks for one, and takes any.
	start("mode request")
	for name, certificate := range map[string]tls.Certificate{"another authority's": bad, "the right authority's": good} {
		if got, err := connect(certificate); err != nil || !refusedWith(got, "unauthorized") {
			t.Errorf("%s certificate, unverified: %s %v", name, got, err)
		}
	}
}

// newCertificate makes a certificate, of an authority, or for one where parent is nil.
func newCertificate(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := newKey(t)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, parentKey = template, key
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		template.DNSNames, template.ExtKeyUsage = nil, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func writePEM(t *testing.T, file, kind string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
		t.Fatal(err)
	}
}
