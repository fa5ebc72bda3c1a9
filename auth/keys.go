package auth

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Keys are what the signatures of tokens are held against.
type Keys struct {
	// algorithms are those that go with the keys.
	algorithms []string
	// what they are, for messages.
	what string
	// find returns the key of a token, or a jwt.VerificationKeySet.
	find func(ctx context.Context, token *jwt.Token) (any, error)
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
		find:       func(context.Context, *jwt.Token) (any, error) { return key, nil },
	}, nil
}

// key returns the keys of a token that go with its algorithm. No other must
// ever meet the token.
func (k *Keys) key(ctx context.Context, token *jwt.Token) (any, error) {
	found, err := k.find(ctx, token)
	if err != nil {
		return nil, err
	}
	algorithm := token.Method.Alg()
	if set, ok := found.(jwt.VerificationKeySet); ok {
		var fitting jwt.VerificationKeySet
		for _, key := range set.Keys {
			if fits(algorithm, key) {
				fitting.Keys = append(fitting.Keys, key)
			}
		}
		if len(fitting.Keys) == 0 {
			return nil, fmt.Errorf("there is no key for %s", algorithm)
		}
		return fitting, nil
	}
	if !fits(algorithm, found) {
		return nil, fmt.Errorf("the key is not one for %s", algorithm)
	}
	return found, nil
}
