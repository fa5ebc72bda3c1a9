package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
)

// keyType is a kind of key. Each signs with algorithms of its own: a token
// cannot choose how its key is to be used.
type keyType uint8

const (
	noKey keyType = iota
	secretKey
	rsaKey
	p256Key
	p384Key
	p521Key
	ed25519Key
)

// algorithmsOf has the algorithms of each kind of key. There is no "none".
var algorithmsOf = map[keyType][]string{
	secretKey:  {"HS256", "HS384", "HS512"},
	rsaKey:     {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
	p256Key:    {"ES256"},
	p384Key:    {"ES384"},
	p521Key:    {"ES512"},
	ed25519Key: {"EdDSA"},
}

// Bounds of RSA keys, in bits: below the one they can be broken, above the
// other each signature costs more than a client should be able to make it.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// minSecret is the shortest secret, in bytes. See RFC 7518, section 3.2.
const minSecret = 32

// typeOf returns the kind of a key that is fit for use.
func typeOf(key any) (keyType, error) {
	switch key := key.(type) {
	case []byte:
		if len(key) < minSecret {
			return noKey, fmt.Errorf("the secret has %d bytes, and must have %d at least", len(key), minSecret)
		}
		return secretKey, nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return noKey, fmt.Errorf("the RSA key has %d bits, and must have %d to %d", bits, minRSABits, maxRSABits)
		}
		if key.E < 3 || key.E&1 == 0 || key.N.Bit(0) == 0 {
			return noKey, fmt.Errorf("the RSA key is none")
		}
		return rsaKey, nil
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil {
			return noKey, fmt.Errorf("the EC key is none: %w", err)
		}
		switch key.Curve {
		case elliptic.P256():
			return p256Key, nil
		case elliptic.P384():
			return p384Key, nil
		case elliptic.P521():
			return p521Key, nil
		}
		return noKey, fmt.Errorf("the EC key is on the curve %s", key.Curve.Params().Name)
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return noKey, fmt.Errorf("the Ed25519 key has %d bytes", len(key))
		}
		return ed25519Key, nil
	default:
		return noKey, fmt.Errorf("a key of type %T cannot verify tokens", key)
	}
}

// fits reports whether an algorithm is one of the key's.
func fits(algorithm string, key any) bool {
	kind, err := typeOf(key)
	return err == nil && slices.Contains(algorithmsOf[kind], algorithm)
}

// publicAlgorithms are those of all public keys.
func publicAlgorithms() []string {
	return slices.Concat(algorithmsOf[rsaKey], algorithmsOf[p256Key], algorithmsOf[p384Key], algorithmsOf[p521Key], algorithmsOf[ed25519Key])
}

// CheckAlgorithm refuses the name of an algorithm that no token may have.
func CheckAlgorithm(name string) error {
	known := slices.Concat(algorithmsOf[secretKey], publicAlgorithms())
	if !slices.Contains(known, name) {
		return fmt.Errorf("unknown algorithm %q: write one of %s", name, strings.Join(known, ", "))
	}
	return nil
}

// chooseAlgorithms returns those that were asked for, or else those there are.
// One that is of another kind of key is an error: a public key is no secret.
func chooseAlgorithms(asked, there []string, keys string) ([]string, error) {
	if len(asked) == 0 {
		return there, nil
	}
	for i, name := range asked {
		if err := CheckAlgorithm(name); err != nil {
			return nil, err
		}
		if !slices.Contains(there, name) {
			return nil, fmt.Errorf("the algorithm %s does not go with %s, but %s", name, keys, strings.Join(there, ", "))
		}
		if slices.Contains(asked[:i], name) {
			return nil, fmt.Errorf("the algorithm %s is given twice", name)
		}
	}
	return asked, nil
}
