package socketiostream

import (
	"net/http"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// checkEventSets refuses sets that cannot be used together, before the namespace of a hub that is
// at work is changed. It tries them on a namespace of no clients.
func checkEventSets(ns *namespaceSettings) error {
	_, err := streaming.New(streaming.Options{}, nil).Use(ns.name, ns.registered()...)
	return err
}

// registered returns the sets as what a namespace uses, and who may come in.
func (ns *namespaceSettings) registered() []streaming.EventSet {
	list := make([]streaming.EventSet, 0, len(ns.sets)+1)
	if ns.auth != nil {
		list = append(list, ns.auth)
	}
	for _, set := range ns.sets {
		list = append(list, set)
	}
	return list
}

// captures lists what those of the namespaces' authenticators do that have to see requests.
func captures(namespaces []namespaceSettings) (list []func(*http.Request, map[string]string)) {
	seen := make(map[auth.Captor]bool)
	for _, ns := range namespaces {
		if ns.auth == nil {
			continue
		}
		if captor, ok := ns.auth.authenticator.(auth.Captor); ok && !seen[captor] {
			seen[captor] = true
			list = append(list, captor.Capture)
		}
	}
	return list
}
