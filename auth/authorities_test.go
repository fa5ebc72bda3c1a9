package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// privateServer is an HTTPS server whose certificate is of an authority of its
// own, in a file.
func privateServer(t *testing.T, answer http.HandlerFunc) (url, file string) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certify := func(template *x509.Certificate, key *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, authority, &key.PublicKey, testEC)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	file = write(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certify(authority, testEC)}))
	server := httptest.NewUnstartedServer(answer)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certify(leaf, test384)}, PrivateKey: test384}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, file
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAuthorityFilesThatAreRefused(t *testing.T) {
	_, good := privateServer(t, nil)
	certificate, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(string(certificate), "\n")
	for name, test := range map[string]struct{ data, want string }{
		"empty":                 {"", "line 1: there is no certificate"},
		"text":                  {"hello\n", "line 1: there is no certificate"},
		"a public key":          {string(publicPEM), `line 1: it holds a "PUBLIC KEY"`},
		"a private key behind":  {string(certificate) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "line " + itoa(lines+1) + ": it holds a private key"},
		"a certificate of junk": {"# one\n\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "line 3: the certificate cannot be read"},
		"half of one":           {string(certificate[:len(certificate)/2]), "line 1: the PEM block that begins here is damaged"},
		"a damaged one between": {string(certificate) + "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n" + string(certificate), "line " + itoa(lines+1) + ": the PEM block"},
		"far too large":         {strings.Repeat("x", maxAuthorityFile+1), "it has 4194305 bytes"},
	} {
		file := write(t, []byte(test.data))
		if _, err := ReadAuthorities([]string{good, file}); err == nil || !strings.Contains(err.Error(), file+": "+test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := ReadAuthorities([]string{"/nonexistent/ca.pem"}); err == nil || !strings.Contains(err.Error(), "/nonexistent/ca.pem: no such file") {
		t.Error(err)
	}
	if err := CheckAuthorities("http://127.0.0.1/keys"); err == nil {
		t.Error("authorities for plain http")
	}
	first, err := ReadAuthorities([]string{good})
	if err != nil {
		t.Fatal(err)
	}
	if none, err := ReadAuthorities(nil); err != nil || none != nil || none.Fingerprint() != "" || first.Fingerprint() == "" {
		t.Errorf("%v %v", none, err)
	}
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }

// TestServersOfAPrivateAuthority holds that an issuer and a backend are known
// by the authority that is named, and by no other.
func TestServersOfAPrivateAuthority(t *testing.T) {
	url, file := privateServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = w.Write([]byte(`{"id":"ada"}`))
			return
		}
		_, _ = w.Write([]byte(`{"keys":[` + jwk(&testRSA.PublicKey, `,"kid":"one"`) + `]}`))
	})
	_, foreign := privateServer(t, nil)
	for _, test := range []struct {
		files []string
		good  bool
	}{{[]string{file}, true}, {nil, false}, {[]string{foreign, file}, true}} {
		authorities, err := ReadAuthorities(test.files)
		if err != nil {
			t.Fatal(err)
		}
		logger, log := newLog()
		set, err := NewKeySet(url, authorities, logger)
		if err != nil {
			t.Fatal(err)
		}
		token := sign(`{"alg":"RS256","kid":"one"}`, payload(nil), testRSA)
		_, err = verify(newJWT(t, JWTOptions{Issuers: by(FromKeySets(set))}), token)
		if (err == nil) != test.good {
			t.Errorf("an issuer with %d files: %v", len(test.files), err)
		}
		if !test.good {
			eventually(t, "the line of what is wrong", func() bool { return strings.Contains(log.String(), "unknown authority") })
		}
		set.Close()
		backend, err := NewBackend(BackendOptions{URL: url, Authorities: authorities})
		if err != nil {
			t.Fatal(err)
		}
		if identity, err := backend.Authenticate(context.Background(), shows(t, `{}`)); (err == nil) != test.good || test.good && identity.ID != "ada" {
			t.Errorf("a backend with %d files: %v %v", len(test.files), identity, err)
		}
		backend.Close()
	}
}
