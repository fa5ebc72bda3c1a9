package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxAuthorityFile bounds a file of certificates, in bytes.
const maxAuthorityFile = 4 << 20

// Authorities are the certificate authorities by which a server is known, in
// place of those that the system trusts. Nil stands for the latter.
type Authorities struct {
	pool *x509.CertPool
	// fingerprint is a hash of the certificates.
	fingerprint string
}

// ReadAuthorities reads PEM files of certificates. Everything in them must be
// one: what would be passed over may be just the one that is needed. An error
// says which file, and which line of it.
func ReadAuthorities(files []string) (*Authorities, error) {
	if len(files) == 0 {
		return nil, nil
	}
	a := &Authorities{pool: x509.NewCertPool()}
	sum := sha256.New()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		certificates, err := parseCertificates(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, certificate := range certificates {
			a.pool.AddCert(certificate)
			_, _ = sum.Write(certificate.Raw)
		}
	}
	a.fingerprint = hex.EncodeToString(sum.Sum(nil))
	return a, nil
}

// Fingerprint is the same for the same certificates, and empty for those of the
// system.
func (a *Authorities) Fingerprint() string {
	if a == nil {
		return ""
	}
	return a.fingerprint
}

// tls is how a server is spoken to.
func (a *Authorities) tls() *tls.Config {
	if a == nil {
		return nil
	}
	return &tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS12}
}

// parseCertificates parses a PEM file, which may have text between its blocks.
func parseCertificates(data []byte) (certificates []*x509.Certificate, err error) {
	if len(data) > maxAuthorityFile {
		return nil, fmt.Errorf("it has %d bytes, and may have %d", len(data), maxAuthorityFile)
	}
	begin := []byte("-----BEGIN ")
	lines := bytes.SplitAfter(data, []byte("\n"))
	for i, line := range lines {
		if !bytes.HasPrefix(line, begin) {
			continue
		}
		rest := bytes.Join(lines[i:], nil)
		if next := bytes.Index(rest[1:], begin); next >= 0 {
			rest = rest[:next+1]
		}
		certificate, err := parseCertificate(rest)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("line 1: there is no certificate in it")
	}
	return certificates, nil
}

func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	switch {
	case block == nil:
		return nil, errors.New("the PEM block that begins here is damaged")
	case strings.Contains(block.Type, "PRIVATE"):
		return nil, errors.New("it holds a private key, which does not belong here")
	case block.Type != "CERTIFICATE":
		return nil, fmt.Errorf("it holds a %.40q, and no certificate", block.Type)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the certificate cannot be read: %w", err)
	}
	return certificate, nil
}

// CheckAuthorities refuses authorities for servers none of which is asked by
// https.
func CheckAuthorities(urls ...string) error {
	for _, text := range urls {
		if u, err := parseURL(text); err == nil && u.Scheme == "https" {
			return nil
		}
	}
	return errors.New("tls_ca is of no use without a server that is asked by https")
}
