// Package hub holds what outlives a config: the hubs, which have the connections. [Find] and [All]
// are the door for other modules of the process, which may emit to the clients of a hub, or ask
// what it counts.
package hub

import (
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// shown has the hubs by name. The pool of hubs is not asked: it would wait for a hub that is being
// made, and for ever if that fails.
var shown sync.Map

// show makes the hub known, in place of one of that name which is on its way out.
func (hub *hub) show() {
	hub.wasShown.Store(true)
	shown.Store(hub.name, hub)
}

// hide undoes show.
func (hub *hub) hide() {
	if shown.CompareAndDelete(hub.name, hub) {
		if leaving := departures.find(hub.name); leaving != nil && leaving != hub {
			shown.LoadOrStore(hub.name, leaving)
		}
	}
}

// shownHubs lists the hubs that are known, in no order.
func shownHubs() []*hub {
	var list []*hub
	shown.Range(func(_, value any) bool {
		list = append(list, value.(*hub))
		return true
	})
	return list
}

// Default is a name for the only hub that there is, as long as none has it for its own.
const Default = "default"

// Find returns the server of the hub of that name, or nil. It is not to be kept: a reload may end
// the hub, and make another of that name.
func Find(name string) *streaming.Server {
	_, server := Resolve(name)
	return server
}

// Resolve returns the name and the server of the hub that a name stands for, or nil: see [Default].
func Resolve(name string) (string, *streaming.Server) {
	if found, ok := shown.Load(name); ok {
		return name, found.(*hub).server
	}
	if name != Default {
		return "", nil
	}
	staying := slices.DeleteFunc(shownHubs(), (*hub).isLeaving)
	if len(staying) != 1 {
		return "", nil
	}
	return staying[0].name, staying[0].server
}

// All returns the servers with the names of their hubs, in the order of these.
func All() iter.Seq2[string, *streaming.Server] {
	return func(yield func(string, *streaming.Server) bool) {
		servers := make(map[string]*streaming.Server)
		for _, hub := range shownHubs() {
			servers[hub.name] = hub.server
		}
		for _, name := range slices.Sorted(maps.Keys(servers)) {
			if !yield(name, servers[name]) {
				return
			}
		}
	}
}
