package socketiostream

import (
	"sync"

	shown "github.com/caddy-socketio/socketio-stream/hub"
)

// shownHubs has the hubs that others know of, by name. The pool of hubs is not asked: it would wait
// for a hub that is being made, and for ever if that fails.
var shownHubs sync.Map

// show makes the hub known, in place of one of that name which is on its way out.
func (hub *hub) show() {
	shownHubs.Store(hub.name, hub)
	shown.Show(hub.name, hub.server)
}

// hide undoes show.
func (hub *hub) hide() {
	shownHubs.CompareAndDelete(hub.name, hub)
	shown.Hide(hub.name, hub.server)
}
