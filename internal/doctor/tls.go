package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// soon is how long before a certificate's end a warning is given, unless a fifth of its life is
// less.
const soon = 14 * 24 * time.Hour

// checkCertificate opens a TLS connection and verifies what it shows. It reports whether the visit
// may go on.
func (d *visit) checkCertificate(ctx context.Context) bool {
	at := place{check: "certificate"}
	state, err := d.handshakeTLS(ctx)
	if err != nil {
		d.tellTLS(at, err)
		return false
	}
	leaf := state.PeerCertificates[0]
	faults := certificateFaults(state.PeerCertificates, d.site.Hostname(), time.Now())
	status := Problem
	if d.Insecure {
		status = Warning
	}
	for _, fault := range faults {
		d.tell(status, at, fault.code, fault.words, nil)
	}
	version := tls.VersionName(state.Version)
	if state.Version < tls.VersionTLS12 {
		d.tell(Warning, at, "tls-old", version+" is all the server speaks: browsers refuse it.", nil)
	}
	if len(faults) > 0 {
		if !d.Insecure {
			d.skip("what --insecure would show: it goes on with a certificate that cannot be verified")
		}
		return d.Insecure
	}
	left := time.Until(leaf.NotAfter)
	if left < min(soon, leaf.NotAfter.Sub(leaf.NotBefore)/5) {
		d.tell(Warning, at, "certificate-expires-soon", fmt.Sprintf("The certificate ends in %s, on %s: its renewal is overdue.",
			timeLeft(left), leaf.NotAfter.UTC().Format(time.DateOnly)), nil)
		return true
	}
	d.tell(OK, at, "certificate-ok", fmt.Sprintf("%s, for %s, from %s, good for %s.", version, d.site.Hostname(), issuer(leaf), timeLeft(left)), nil)
	return true
}

func (d *visit) handshakeTLS(ctx context.Context) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	config := d.tls.Clone()
	// What is wrong with the certificate is told by this check, in more words than the handshake
	// has.
	config.InsecureSkipVerify = true
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", d.address())
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState(), nil
}

func (d *visit) tellTLS(at place, err error) {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &record):
		d.tell(Problem, at, "not-tls", fmt.Sprintf("Port %s does not speak TLS: it is plain HTTP, or another kind of server.", d.port()), nil)
	case isTimeout(err):
		d.tell(Problem, at, "tls-no-answer", fmt.Sprintf("The port is open, and TLS is not answered within %v.", d.Timeout), nil)
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error"):
		d.tell(Problem, at, "tls-no-certificate", fmt.Sprintf("The server refuses TLS for %s (%v): most likely it has no certificate for that name.",
			d.site.Hostname(), strings.TrimPrefix(err.Error(), "remote error: ")), nil)
	case isCut(err):
		d.tell(Problem, at, "tls-cut", "The connection was closed in the middle of the TLS handshake.", nil)
	default:
		d.tell(Problem, at, "tls-failed", "The TLS handshake failed: "+err.Error()+".", nil)
	}
}

// fault is what is wrong with a certificate.
type fault struct{ code, words string }

// certificateFaults verifies a chain as a client does, and tells the faults one by one.
func certificateFaults(chain []*x509.Certificate, host string, now time.Time) []fault {
	leaf := chain[0]
	var faults []fault
	add := func(code, format string, values ...any) {
		faults = append(faults, fault{code, fmt.Sprintf(format, values...)})
	}
	if now.After(leaf.NotAfter) {
		add("certificate-expired", "The certificate ended %s ago, on %s: no client connects.", timeLeft(now.Sub(leaf.NotAfter)), leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	if now.Before(leaf.NotBefore) {
		add("certificate-not-yet-valid", "The certificate begins on %s: the clock of the server, or of this machine, is wrong.", leaf.NotBefore.UTC().Format(time.DateTime))
	}
	if err := leaf.VerifyHostname(host); err != nil {
		names := append([]string{}, leaf.DNSNames...)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		const most = 5
		if len(names) > most {
			names = append(names[:most], "…")
		}
		add("certificate-wrong-name", "The certificate is not for %s: it is for %s.", host, orNothing(strings.Join(names, ", ")))
	}
	options := x509.VerifyOptions{Intermediates: x509.NewCertPool(), CurrentTime: now}
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		options.CurrentTime = leaf.NotAfter.Add(-time.Second)
	}
	for _, certificate := range chain[1:] {
		options.Intermediates.AddCert(certificate)
	}
	if _, err := leaf.Verify(options); err != nil {
		switch {
		case leaf.CheckSignatureFrom(leaf) == nil || leaf.Issuer.String() == leaf.Subject.String():
			add("certificate-self-signed", "The certificate is signed by itself: clients that were not told of it refuse it.")
		case strings.HasPrefix(leaf.Issuer.CommonName, "Caddy Local Authority"):
			add("certificate-local-authority", "The certificate is from Caddy's own authority, which this machine does not trust. Clients elsewhere do not either.")
		case len(chain) == 1:
			add("certificate-chain", "The certificate is from %s, and the chain to an authority that this machine trusts is missing: the server sends one certificate alone.", issuer(leaf))
		default:
			add("certificate-untrusted", "The certificate is from %s, which this machine does not trust.", issuer(leaf))
		}
	}
	return faults
}

func issuer(certificate *x509.Certificate) string {
	name := certificate.Issuer.CommonName
	if name == "" {
		name = strings.Join(certificate.Issuer.Organization, ", ")
	}
	if name == "" {
		return "an authority without a name"
	}
	return excerpt(name)
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// timeLeft writes a time in days, or in hours where it is short.
func timeLeft(t time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case t >= 2*day:
		return fmt.Sprintf("%d days", t/day)
	case t >= 2*time.Hour:
		return fmt.Sprintf("%d hours", t/time.Hour)
	default:
		return fmt.Sprintf("%d minutes", t/time.Minute)
	}
}

// checkEncryption speaks of a site without TLS.
func (d *visit) checkEncryption() {
	if host := d.site.Hostname(); host == "localhost" || net.ParseIP(host).IsLoopback() {
		return
	}
	d.tell(Warning, place{check: "certificate"}, "not-encrypted",
		"The site is visited without TLS: session IDs can be read on the way, and pages served over https may not connect to it.", nil)
}
