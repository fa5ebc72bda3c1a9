package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// maxTried is how many keys a token is held against, at most: what one costs that does
// not hold is bounded by that, and by maxRSABits.
const maxTried = 8

// errNoKey is a token of whose key nothing is known.
var errNoKey = errors.New("there is no key of that ID")

// FromKeySets are the keys that one issuer publishes, in one set or in several. A token
// names its key, or else is held against all that go with its algorithm.
func FromKeySets(sets ...*KeySet) *Keys {
	return &Keys{algorithms: publicAlgorithms(), what: "keys that are published", find: keyStore(sets).find}
}

// keyStore finds the keys of tokens in key sets.
type keyStore []*KeySet

// find implements the function of Keys.
func (s keyStore) find(ctx context.Context, token *jwt.Token, shown time.Time) (candidates, error) {
	found := s.look(token)
	if len(found.keys) > 0 && (found.named || found.unsure == nil) {
		return found, found.check()
	}
	// The issuer may have changed its keys, or has not been there yet.
	for _, set := range s {
		set.update(ctx)
	}
	if found = s.look(token); len(found.keys) > 0 {
		return found, found.check()
	}
	// Only keys that were fetched after the token was shown say that it has none of them.
	for _, set := range s {
		if err := set.knownSince(shown); err != nil {
			return candidates{}, err
		}
	}
	return candidates{}, errNoKey
}

// look returns the keys of a token among those that are there. They are unsure when not
// all sets are.
func (s keyStore) look(token *jwt.Token) (found candidates) {
	id, named := token.Header["kid"].(string)
	found.named = named
	for _, set := range s {
		keys, err := set.current()
		if err != nil {
			found.unsure = err
		}
		for _, key := range keys {
			marshaled := key.Marshal()
			algorithm := marshaled.ALG.String()
			if named && marshaled.KID != id || algorithm != "" && algorithm != token.Method.Alg() || !fits(token.Method.Alg(), key.Key()) {
				continue
			}
			found.keys = append(found.keys, key.Key())
		}
	}
	return found
}

// current returns the keys, unless there are none, or they are too old.
func (k *KeySet) current() ([]jwkset.JWK, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.keys == nil && k.err != nil:
		return nil, fmt.Errorf("%w: %s: %w", errUnavailable, k.shown(), k.err)
	case k.keys == nil:
		return nil, fmt.Errorf("%w: %s: not fetched yet", errUnavailable, k.shown())
	case time.Since(k.fetched) > k.times.stale:
		return nil, fmt.Errorf("%w: %s: fetched too long ago", errUnavailable, k.shown())
	}
	return k.keys, nil
}

// knownSince returns nil if the keys that are there were fetched after a moment, and
// otherwise an error that says why it is not known what keys the issuer has now.
func (k *KeySet) knownSince(moment time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.err != nil:
		return fmt.Errorf("%w: %s: %w", errUnavailable, k.shown(), k.err)
	case !k.begun.After(moment):
		return fmt.Errorf("%w: %s: fetched a moment ago, and no new key is looked for so soon", errUnavailable, k.shown())
	}
	return nil
}

// update waits for a fetch that is under way, or for a new one if the last that was
// asked for is long enough ago. Whoever sends tokens with unknown keys can cause no more
// fetches than that.
func (k *KeySet) update(ctx context.Context) {
	k.mu.Lock()
	fetching := k.fetching
	if fetching == nil && (k.asked.IsZero() || time.Since(k.asked) >= k.times.ask) && k.ctx.Err() == nil {
		k.asked = time.Now()
		k.fetchLocked()
		fetching = k.fetching
	}
	k.mu.Unlock()
	if fetching == nil {
		return
	}
	select {
	case <-fetching:
	case <-ctx.Done():
	}
}
