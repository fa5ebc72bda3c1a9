package eventstest

import (
	"context"
	"encoding/json"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Named is an event set that identifies clients as the payload says with which they connect:
//
//	{"name": "ada", "rooms": ["stream:a"], "start": ["stream:a"], "publish": ["message"]}
//
// Rights that are missing are not limited. Who gives no name is not let in.
type Named struct{}

// Register implements streaming.EventSet.
func (Named) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(Named{})
}

// Authenticate implements streaming.Authenticator.
func (Named) Authenticate(_ context.Context, c *streaming.Credentials) (*streaming.Identity, error) {
	var shown struct {
		Name                  string
		Rooms, Start, Publish *[]string
	}
	if err := json.Unmarshal(c.Auth.JSON(), &shown); err != nil || shown.Name == "" {
		return nil, &streaming.Refusal{Code: streaming.CodeUnauthorized, Reason: "nobody is named"}
	}
	identity := &streaming.Identity{ID: shown.Name, Method: "name"}
	for names, rights := range map[*[]string]*streaming.Rights{
		shown.Rooms: &identity.Rooms, shown.Start: &identity.Start, shown.Publish: &identity.Publish,
	} {
		if names != nil {
			*rights = streaming.LimitTo(*names...)
		}
	}
	return identity, nil
}
