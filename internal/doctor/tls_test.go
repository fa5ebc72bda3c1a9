package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// newCertificate makes a certificate, signed by parent or else by itself.
func newCertificate(t *testing.T, parent *tls.Certificate, from, to time.Time, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "test " + strconv.FormatInt(time.Now().UnixNano(), 36)},
		NotBefore:    from, NotAfter: to,
		IsCA: parent == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	issuer, signer := template, any(key)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestCertificates(t *testing.T) {
	now := time.Now()
	const day = 24 * time.Hour
	authority := newCertificate(t, nil, now.Add(-day), now.Add(900*day))
	for _, test := range []struct {
		name        string
		certificate tls.Certificate
		want        []expected
	}{
		{"signed by itself", newCertificate(t, nil, now.Add(-day), now.Add(90*day), "127.0.0.1"),
			[]expected{{code: "certificate-self-signed", words: "signed by itself", line: "127.0.0.1 {"}}},
		{"without its chain", newCertificate(t, &authority, now.Add(-day), now.Add(90*day), "127.0.0.1"),
			[]expected{{code: "certificate-chain", words: "one certificate alone", line: "ssl_certificate /etc/ssl/127.0.0.1/fullchain.pem;"}}},
		{"over", newCertificate(t, nil, now.Add(-90*day), now.Add(-3*day), "127.0.0.1"),
			[]expected{{code: "certificate-expired", words: "3 days ago"}, {code: "certificate-self-signed"}}},
		{"not begun", newCertificate(t, nil, now.Add(3*day), now.Add(90*day), "127.0.0.1"),
			[]expected{{code: "certificate-not-yet-valid", words: "clock"}}},
		{"of another name", newCertificate(t, nil, now.Add(-day), now.Add(90*day), "example.com", "www.example.com"),
			[]expected{{code: "certificate-wrong-name", words: "not for 127.0.0.1: it is for example.com, www.example.com"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked atomic.Bool
			server := newServer(t, noOptions)
			front := newTLSFront(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Store(true)
				handlerOf(server).ServeHTTP(w, r)
			}), test.certificate)
			options := quick()
			options.Header = http.Header{"Authorization": {"Bearer secret-word"}}
			report := examine(t, front.URL, options)
			for _, want := range test.want {
				want.status = Problem
				want.check(t, report)
			}
			if asked.Load() {
				t.Error("a request, with credentials, went to a server that is not known to be the right one")
			}

			options.Insecure = true
			report = examine(t, front.URL, options)
			for _, want := range test.want {
				want.status = Warning
				want.check(t, report)
			}
			for _, code := range []string{"handshake-ok", "websocket-ok", "upgrade-ok", "http2"} {
				finding(t, report, code)
			}
			if !report.Healthy {
				t.Errorf("%s", text(t, report))
			}
			awaitEmpty(t, server)
		})
	}
}

func TestCertificateFaultsOfTime(t *testing.T) {
	now := time.Now()
	certificate := newCertificate(t, nil, now.Add(-time.Hour), now.Add(time.Hour), "example.com")
	faults := certificateFaults([]*x509.Certificate{certificate.Leaf}, "example.com", now.Add(2*time.Hour))
	if len(faults) != 2 || faults[0].code != "certificate-expired" {
		t.Errorf("%+v", faults)
	}
}

func TestPortsWithoutTLS(t *testing.T) {
	s := newSite(t, noOptions, nil)
	u, err := url.Parse(s.front.URL)
	if err != nil {
		t.Fatal(err)
	}
	expected{code: "not-tls", status: Problem, words: "does not speak TLS"}.check(t, examine(t, "https://"+u.Host, quick()))
	options := quick()
	options.Timeout = 300 * time.Millisecond
	expected{code: "tls-no-answer", status: Problem, words: "not answered within"}.check(t, examine(t, "https://"+newTCP(t, drained), options))
}

func TestRedirectFromPlainHTTP(t *testing.T) {
	now := time.Now()
	server := newServer(t, noOptions)
	site := newTLSFront(t, handlerOf(server), newCertificate(t, nil, now.Add(-time.Hour), now.Add(time.Hour), "127.0.0.1"))
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   expected
	}{
		{"to https", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, site.URL, http.StatusPermanentRedirect)
		},
			expected{code: "redirected", status: OK, words: "308"}},
		{"not at all", answering(200, "text/html", "<html>"),
			expected{code: "http-not-redirected", status: Warning, words: "without encryption"}},
		{"to another page", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/", http.StatusFound)
		},
			expected{code: "http-not-redirected", status: Warning, words: "does not lead to https"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plain := httptest.NewServer(test.answer)
			t.Cleanup(plain.Close)
			options := quick()
			options.Insecure = true
			options.HTTPPort = plain.Listener.Addr().(*net.TCPAddr).Port
			test.want.check(t, examine(t, site.URL, options))
		})
	}
	awaitEmpty(t, server)
}
