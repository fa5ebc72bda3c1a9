package authcaddy

import (
	"log/slog"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/internal/logline"
)

// keySets holds the key sets of issuers by URL and by whom that is trusted for. They outlive a
// config, so that a reload does not fetch them anew.
var keySets = caddy.NewUsagePool()

// sharedKeySet is a key set that outlives a config.
type sharedKeySet struct {
	set    *auth.KeySet
	logger *logline.Switch
}

// acquireKeySet returns the key set of an address, which is made and fetched in the background if
// no config has it. It lives until all who have acquired it have released it by its name.
func acquireKeySet(
	ctx caddy.Context, address string, authorities *auth.Authorities,
) (set *auth.KeySet, name string, err error) {
	// What was fetched from a server that is no longer trusted is not used.
	name = address + " " + authorities.Fingerprint()
	value, loaded, err := keySets.LoadOrNew(name, func() (caddy.Destructor, error) {
		return newSharedKeySet(ctx, address, authorities)
	})
	if err != nil {
		return nil, "", err
	}
	shared := value.(*sharedKeySet)
	if loaded {
		shared.logger.Use(ctx.Slogger())
	}
	return shared.set, name, nil
}

// releaseKeySet gives up a key set that was acquired.
func releaseKeySet(name string) error {
	_, err := keySets.Delete(name)
	return err
}

func newSharedKeySet(
	ctx caddy.Context, address string, authorities *auth.Authorities,
) (*sharedKeySet, error) {
	logger := logline.NewSwitch(ctx.Slogger())
	set, err := auth.NewKeySet(address, authorities, slog.New(logger))
	if err != nil {
		return nil, err
	}
	return &sharedKeySet{set: set, logger: logger}, nil
}

// Destruct ends the key set: no config names it any more.
func (s *sharedKeySet) Destruct() error {
	s.set.Close()
	return nil
}
