package auth

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Keys are what the signatures of tokens are held against.
type Keys struct {
	// algorithms are those that go with the keys.
	algorithms []string
	// what they are, for messages.
	what string
	// find returns the keys that a token may be signed with, which the client has shown
	// at a time. Only those that go with its algorithm are tried.
	find func(ctx context.Context, token *jwt.Token, shown time.Time) (candidates, error)
}

// candidates are the keys that a token may be signed with.
type candidates struct {
	keys []any
	// named is true if the token names its key.
	named bool
	// unsure, when not nil, is why there may be others.
	unsure error
}

// check refuses more keys than a token is held against.
func (c *candidates) check() error {
	if len(c.keys) > maxTried {
		return fmt.Errorf("%d keys may be that of the token, which names none of them, and at most %d are tried", len(c.keys), maxTried)
	}
	return nil
}

// Secret is a key that whoever signs tokens has too. It has 32 bytes or more.
func Secret(secret string) (*Keys, error) {
	if strings.Contains(secret, "-----BEGIN") {
		return nil, errors.New("the secret is a key file: give the name of the file as public_key")
	}
	return single([]byte(secret), "a secret")
}

// PublicKey is the key in a PEM file: a public key, or a certificate that has
// one. data is what the file holds.
func PublicKey(data []byte) (*Keys, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, errors.New("there is no PEM block in it")
	}
	if next, _ := pem.Decode(rest); next != nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("there is more than one PEM block in it")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	default:
		if strings.Contains(block.Type, "PRIVATE") {
			return nil, errors.New("it holds a private key: give the public one")
		}
		return nil, fmt.Errorf("it holds a %q, and no public key", block.Type)
	}
	if err != nil {
		return nil, err
	}
	return single(key, "this public key")
}

// single makes keys of one.
func single(key any, what string) (*Keys, error) {
	kind, err := typeOf(key)
	if err != nil {
		return nil, err
	}
	return &Keys{
		algorithms: algorithmsOf[kind],
		what:       what,
		find: func(context.Context, *jwt.Token, time.Time) (candidates, error) {
			return candidates{keys: []any{key}, named: true}, nil
		},
	}, nil
}

// of returns the keys of a token that go with its algorithm. No other must ever meet
// the token. unsure, when not nil, is why there may be others.
func (k *Keys) of(ctx context.Context, token *jwt.Token, shown time.Time) (set jwt.VerificationKeySet, unsure, err error) {
	found, err := k.find(ctx, token, shown)
	if err != nil {
		return set, nil, err
	}
	algorithm := token.Method.Alg()
	for _, key := range found.keys {
		if fits(algorithm, key) {
			set.Keys = append(set.Keys, key)
		}
	}
	if len(set.Keys) == 0 {
		return set, nil, fmt.Errorf("there is no key for %s", algorithm)
	}
	return set, found.unsure, nil
}
