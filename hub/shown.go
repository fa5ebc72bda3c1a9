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

// shown has the servers by the name of their hub. The pool of hubs is not asked: it would wait for
// a hub that is being made, and for ever if that fails.
var shown sync.Map

// Show makes the server of a hub known, in place of one of that name which is on its way out.
func Show(name string, server *streaming.Server) { shown.Store(name, server) }

// Hide undoes Show.
func Hide(name string, server *streaming.Server) { shown.CompareAndDelete(name, server) }

// Find returns the server of the hub of that name, or nil. It is not to be kept: a reload may end
// the hub, and make another of that name.
func Find(name string) *streaming.Server {
	found, _ := shown.Load(name)
	server, _ := found.(*streaming.Server)
	return server
}

// All returns the servers with the names of their hubs, in the order of these.
func All() iter.Seq2[string, *streaming.Server] {
	return func(yield func(string, *streaming.Server) bool) {
		servers := make(map[string]*streaming.Server)
		shown.Range(func(name, server any) bool {
			servers[name.(string)] = server.(*streaming.Server)
			return true
		})
		for _, name := range slices.Sorted(maps.Keys(servers)) {
			if !yield(name, servers[name]) {
				return
			}
		}
	}
}
