package authcaddy

import (
	"log/slog"
	"slices"
	"sync"

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

	mu sync.Mutex
	// loggers are those of all who have the set, in the order in which they came. The first is in
	// use: a config that has come last may still fail, and the one before it ends when it does not.
	loggers []*slog.Logger
}

// acquiredKeySet is what one who has acquired a key set must release.
type acquiredKeySet struct {
	name   string
	shared *sharedKeySet
	logger *slog.Logger
}

// acquireKeySet returns the key set of an address, which is made and fetched in the background if
// no config has it. It lives until all who have acquired it have released it.
func acquireKeySet(
	ctx caddy.Context, address string, authorities *auth.Authorities,
) (*acquiredKeySet, error) {
	logger := ctx.Slogger()
	// What was fetched from a server that is no longer trusted is not used.
	name := address + " " + authorities.Fingerprint()
	value, _, err := keySets.LoadOrNew(name, func() (caddy.Destructor, error) {
		return newSharedKeySet(logger, address, authorities)
	})
	if err != nil {
		return nil, err
	}
	shared := value.(*sharedKeySet)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.loggers = append(shared.loggers, logger)
	return &acquiredKeySet{name, shared, logger}, nil
}

// release gives the key set up.
func (a *acquiredKeySet) release() error {
	a.shared.forget(a.logger)
	_, err := keySets.Delete(a.name)
	return err
}

// forget has a logger used no more.
func (s *sharedKeySet) forget(logger *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.loggers, logger); i >= 0 {
		s.loggers = slices.Delete(s.loggers, i, i+1)
	}
	if len(s.loggers) > 0 {
		s.logger.Use(s.loggers[0])
	}
}

func newSharedKeySet(
	made *slog.Logger, address string, authorities *auth.Authorities,
) (*sharedKeySet, error) {
	logger := logline.NewSwitch(made)
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
