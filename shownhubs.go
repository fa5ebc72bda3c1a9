package socketiostream

import (
	"slices"
	"sync"

	shown "github.com/caddy-socketio/socketio-stream/hub"
)

// shownHubs has the hubs that the metrics and the admin API tell of, by name. The pool of hubs is not asked: it would wait
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

// findHub returns the hub of that name, or nil.
func findHub(name string) *hub {
	found, _ := shownHubs.Load(name)
	hub, _ := found.(*hub)
	return hub
}

// hubNames lists the hubs in order.
func hubNames() []string {
	var names []string
	shownHubs.Range(func(name, _ any) bool {
		names = append(names, name.(string))
		return true
	})
	slices.Sort(names)
	return names
}
