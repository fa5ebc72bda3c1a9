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
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

// authority gives certificates out.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	certificate, key := newCertificate(t, name, time.Now().Add(time.Hour), nil)
	return &authority{t, certificate, key}
}

// certify returns a certificate of a client's that ends at a time.
func (a *authority) certify(name string, end time.Time) *tls.Certificate {
	a.t.Helper()
	certificate, key := newCertificate(a.t, name, end, a)
	return &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate}
}

// secured is a server whose only site is at https, and asks clients for certificates.
type secured struct {
	*server
	// roots is what clients trust.
	roots *x509.CertPool
	log   *logFile
}

// startSecured starts a server whose own certificate is one of an authority. What client_auth has to
// say is given.
func startSecured(t *testing.T, own *authority, clientAuth string) *secured {
	t.Helper()
	s := &secured{&server{t: t, port: testport.Reserve(t), dir: t.TempDir()}, x509.NewCertPool(), newLogFile(t, "log")}
	s.roots.AddCert(own.certificate)
	certificate, key := newCertificate(t, "localhost", time.Now().Add(time.Hour), own)
	writePEM(t, s.file("server.pem"), "CERTIFICATE", certificate.Raw)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, s.file("server.key"), "PRIVATE KEY", der)
	s.ask(clientAuth)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return s
}

func (s *secured) file(name string) string { return filepath.Join(s.dir, name) }

// trust writes certificates of authorities into a file, and returns its name.
func (s *secured) trust(name string, authorities ...*authority) string {
	s.t.Helper()
	var content []byte
	for _, a := range authorities {
		content = append(content, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})...)
	}
	if err := os.WriteFile(s.file(name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.file(name)
}

// ask loads the config in which client_auth says this.
func (s *secured) ask(clientAuth string) {
	s.t.Helper()
	config, _, err := caddyAdapter().Adapt(fmt.Appendf(nil, `{
	admin off
	persist_config off
	auto_https disable_redirects
	grace_period 1s
	storage file_system %[1]s
	%[4]s
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
}`, s.dir, s.port, clientAuth, s.log.own()), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		s.t.Fatal(err)
	}
	s.settle()
}

// dialAs opens a WebSocket with a certificate, or without one. The error is that of a handshake that
// was refused.
func (s *secured) dialAs(certificate *tls.Certificate) (*socket, error) {
	config := &tls.Config{RootCAs: s.roots, ServerName: "localhost"}
	if certificate != nil {
		// Whatever authorities the server names.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	dialer := ws.Dialer{TLSConfig: config, NetDial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+s.port)
	}}
	return s.dialBy(dialer, "wss://localhost:"+s.port+"/socket.io/")
}

// answerTo connects with a certificate to the namespace "/", and returns the answer.
func (s *secured) answerTo(certificate *tls.Certificate) (*socket, string) {
	s.t.Helper()
	c, err := s.dialAs(certificate)
	if err != nil {
		s.t.Fatal(err)
	}
	c.send("40")
	return c, c.wait("4")
}

// inAs connects with a certificate to the namespace "/", which must let it in.
func (s *secured) inAs(certificate *tls.Certificate) *socket {
	s.t.Helper()
	c, answer := s.answerTo(certificate)
	if !accepted(answer) {
		s.t.Fatal(answer)
	}
	return c
}

// verifyingModes are the modes of client_auth by which certificates are verified.
var verifyingModes = []string{"require_and_verify", "verify_if_given"}

// TestAuthByClientCertificate holds that a certificate counts if Caddy has verified it, and not
// otherwise.
func TestAuthByClientCertificate(t *testing.T) {
	ours, theirs := newAuthority(t, "Test Authority"), newAuthority(t, "Stranger Authority")
	// Caddy asks for one, and takes any.
	s := startSecured(t, ours, "mode request")
	good, bad := ours.certify("ada", time.Now().Add(time.Hour)), theirs.certify("ada", time.Now().Add(time.Hour))
	for name, certificate := range map[string]*tls.Certificate{"another authority's": bad, "the right authority's": good} {
		if _, got := s.answerTo(certificate); !refusedWith(got, "unauthorized") {
			t.Errorf("%s certificate, unverified: %s", name, got)
		}
	}
	s.ask("mode verify_if_given\n trust_pool file " + s.trust("ca.pem", ours))
	if _, got := s.answerTo(good); !accepted(got) {
		t.Errorf("a certificate that was verified: %s", got)
	}
	if _, got := s.answerTo(nil); !refusedWith(got, "unauthorized") {
		t.Errorf("no certificate: %s", got)
	}
	if _, err := s.dialAs(bad); err == nil {
		t.Error("another authority's certificate is taken")
	}
}

// TestAConnectionEndsWhenItsCertificateDoes holds that a connection is closed without a word when the
// certificate ends by which its client was let in, and that it does not come in by it again.
func TestAConnectionEndsWhenItsCertificateDoes(t *testing.T) {
	for _, mode := range verifyingModes {
		t.Run(mode, func(t *testing.T) {
			ours := newAuthority(t, "Test Authority")
			s := startSecured(t, ours, "mode request")
			s.ask("mode " + mode + "\n trust_pool file " + s.trust("ca.pem", ours))
			stays := s.inAs(ours.certify("bob", time.Now().Add(time.Hour)))
			// So long that the client has come by then.
			short := ours.certify("ada", time.Now().Add(5*time.Second))
			c := s.inAs(short)
			if got := c.messages(); len(got) != 0 {
				t.Errorf("it got %s", got)
			}
			if now := time.Now(); now.Before(short.Leaf.NotAfter) {
				t.Errorf("it was closed at %s, and the certificate ends at %s", now, short.Leaf.NotAfter)
			}
			if _, err := s.dialAs(short); err == nil {
				t.Error("it comes in by a certificate that has ended")
			}
			stays.stays("by a certificate that has not ended")
		})
	}
}

// TestAnotherTrustedAuthority holds that a reload which changes the authorities whose certificates are
// trusted, in the config or in a file that it names, has all come again who were let in by one: who
// may still come in does.
func TestAnotherTrustedAuthority(t *testing.T) {
	for _, mode := range verifyingModes {
		for name, change := range map[string]func(s *secured, to *authority) (file string){
			"another file":              func(s *secured, to *authority) string { return s.trust("other.pem", to) },
			"another content of a file": func(s *secured, to *authority) string { return s.trust("ca.pem", to) },
		} {
			t.Run(mode+", "+name, func(t *testing.T) {
				before, after := newAuthority(t, "Before"), newAuthority(t, "After")
				s := startSecured(t, before, "mode request")
				trusting := func(file string) string { return "mode " + mode + "\n trust_pool file " + file }
				s.ask(trusting(s.trust("ca.pem", before, after)))
				ada, bob := before.certify("ada", time.Now().Add(time.Hour)), after.certify("bob", time.Now().Add(time.Hour))
				asAda, asBob := s.inAs(ada), s.inAs(bob)
				// A reload that changes nothing of that disconnects nobody.
				s.ask(trusting(s.trust("ca.pem", before, after)))
				asAda.stays("with the same authorities")
				asBob.stays("with the same authorities")
				s.ask(trusting(change(s, after)))
				for who, c := range map[string]*socket{"ada": asAda, "bob": asBob} {
					if got := c.messages(); len(got) != 0 {
						t.Errorf("%s got %s", who, got)
					}
				}
				if _, err := s.dialAs(ada); err == nil {
					t.Error("ada comes in by an authority that is not trusted any more")
				}
				s.inAs(bob).stays("who comes back")
				line := s.log.wait("clients have to come again", 1)[0]
				if line["reason"] != "handlers in front changed" || line["clients"] != 2.0 {
					t.Errorf("logged %v", line)
				}
			})
		}
	}
}

// newCertificate makes a certificate that ends at a time, of an authority, or for one.
func newCertificate(t *testing.T, name string, end time.Time, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := newKey(t)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, parentKey := template, key
	if by != nil {
		parent, parentKey = by.certificate, by.key
	} else {
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
