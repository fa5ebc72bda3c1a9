package admincli

import (
	"context"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// alike says, in sentences that begin with a blank, how somebody who is not connected may be called
// where several issuers name clients: each subject is then one of its issuer, and those of the name
// that are connected are listed. It says nothing of who is called so already.
func (s *session) alike(ctx context.Context, hubs []adminapi.Hub, identity string) string {
	if identity == "" || strings.Contains(identity, "#") {
		return ""
	}
	var found []string
	// That there is nobody has been told by then: what cannot be asked is no other error.
	rows, _, _ := socketsOf(ctx, s, hubs, &list{limit: adminapi.MaxLimit})
	for _, row := range rows {
		if strings.HasSuffix(row.Identity, "#"+identity) {
			found = append(found, "--identity '"+printable(row.Identity)+"'")
		}
	}
	if len(found) == 0 {
		return " Where there are several issuers, clients are <iss>#<sub>: ls sockets shows them."
	}
	slices.Sort(found)
	return " Where there are several issuers, clients are <iss>#<sub>: write " + strings.Join(slices.Compact(found), " or ")
}
