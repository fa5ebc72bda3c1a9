package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// FromKeySets are the keys that issuers publish. A token names its key, or else
// is held against all that go with its algorithm.
func FromKeySets(sets ...*KeySet) (*Keys, error) {
	find, err := keyfunc.New(keyfunc.Options{Storage: keyStore{MemoryJWKSet: jwkset.NewMemoryStorage(), sets: sets}})
	if err != nil {
		return nil, err
	}
	return &Keys{
		algorithms: publicAlgorithms(),
		what:       "keys that are published",
		find: func(ctx context.Context, token *jwt.Token) (any, error) {
			return find.KeyfuncCtx(ctx)(token)
		},
	}, nil
}

// keyStore implements jwkset.Storage for reading from key sets.
type keyStore struct {
	*jwkset.MemoryJWKSet
	sets []*KeySet
}

// KeyRead implements jwkset.Storage.
func (s keyStore) KeyRead(ctx context.Context, id string) (jwkset.JWK, error) {
	key, err := s.look(id)
	if !errors.Is(err, jwkset.ErrKeyNotFound) && !errors.Is(err, errUnavailable) {
		return key, err
	}
	// The issuer may have changed its keys.
	var unsure error
	for _, set := range s.sets {
		if err := set.ask(ctx); err != nil {
			unsure = err
		}
	}
	if key, err = s.look(id); err != nil && unsure != nil {
		err = unsure
	}
	return key, err
}

// look returns the key of that ID among those that are there. A set that is
// not there is an error only if the others do not have it.
func (s keyStore) look(id string) (jwkset.JWK, error) {
	missing := fmt.Errorf("%w: %.40q", jwkset.ErrKeyNotFound, id)
	for _, set := range s.sets {
		keys, err := set.current()
		if err != nil {
			missing = err
		}
		for _, key := range keys {
			if key.Marshal().KID == id {
				return key, nil
			}
		}
	}
	return jwkset.JWK{}, missing
}

// KeyReadAll implements jwkset.Storage.
func (s keyStore) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	var all []jwkset.JWK
	for _, set := range s.sets {
		keys, err := set.current()
		if err != nil {
			if err := set.ask(ctx); err != nil {
				return nil, err
			}
			if keys, err = set.current(); err != nil {
				return nil, err
			}
		}
		all = append(all, keys...)
	}
	return all, nil
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

// ask waits for a fetch that is under way, or for a new one if the last that
// was asked for is long enough ago. Whoever sends tokens with unknown keys can
// cause no more fetches than that. An error means that it is not known what
// keys the issuer has now.
func (k *KeySet) ask(ctx context.Context) error {
	k.mu.Lock()
	fetching := k.fetching
	if fetching == nil && (k.asked.IsZero() || time.Since(k.asked) >= k.times.ask) && k.ctx.Err() == nil {
		k.asked = time.Now()
		k.fetchLocked()
		fetching = k.fetching
	}
	k.mu.Unlock()
	if fetching != nil {
		select {
		case <-fetching:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errUnavailable, ctx.Err())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return fmt.Errorf("%w: %s: %w", errUnavailable, k.shown(), k.err)
	}
	return nil
}
