package admincli

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// nodeQuery asks for one server of a cluster, or, with an empty name, for all of it.
func nodeQuery(node string) url.Values {
	if node == "" {
		return nil
	}
	return url.Values{"node": {node}}
}

// warn names the servers that have not answered, each once.
func (s *session) warn(missing []adminapi.Missing) {
	for _, m := range missing {
		if slices.Contains(s.warned, m) {
			continue
		}
		s.warned = append(s.warned, m)
		if m.Node == "" {
			_, _ = fmt.Fprintf(s.errOut, "Only one server of the cluster has answered: %s\n", printable(m.Error))
			continue
		}
		_, _ = fmt.Fprintf(s.errOut, "The server %s has not answered: %s\n", printable(m.Node), printable(m.Error))
	}
}

// across returns the hubs as all servers of their clusters have them, or that which is named. The hubs that are
// given get the namespaces that only others have.
func (s *session) across(ctx context.Context, hubs []adminapi.Hub, node string) ([]adminapi.Hub, error) {
	all := []adminapi.Hub{}
	for i := range hubs {
		hub := &hubs[i]
		if hub.Node == "" && node == "" {
			all = append(all, *hub)
			continue
		}
		nodes, err := s.nodes(ctx, hub.Name, node)
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			if n.Hub == nil {
				continue
			}
			all = append(all, *n.Hub)
			for _, other := range n.Hub.Namespaces {
				named := func(own adminapi.Namespace) bool { return own.Name == other.Name }
				if !slices.ContainsFunc(hub.Namespaces, named) {
					hub.Namespaces = append(hub.Namespaces, other)
				}
			}
		}
	}
	return all, nil
}

// nodes lists the servers of a hub's cluster, or that which is named. Those that have not answered are warned of.
func (s *session) nodes(ctx context.Context, hub, node string) ([]adminapi.Node, error) {
	var list adminapi.Nodes
	if err := s.client.get(ctx, join("hubs", hub, "nodes"), nodeQuery(node), &list); err != nil {
		return nil, err
	}
	s.warn(list.Missing)
	for _, n := range list.Nodes {
		if n.Hub == nil {
			s.warn([]adminapi.Missing{{Node: n.Name, Error: n.Error}})
		}
	}
	return list.Nodes, nil
}

// nodeTable lists the servers of clusters.
func (l *list) nodeTable(ctx context.Context, s *session, hubs []adminapi.Hub) error {
	type row struct {
		// At is the hub that was asked.
		At string `json:"at"`
		adminapi.Node
	}
	rows := []row{}
	t := &table{headings: []string{"NODE", "HOST", "HUB", " CONNECTIONS", " SOCKETS", ""}}
	for _, hub := range hubs {
		nodes, err := s.nodes(ctx, hub.Name, l.node)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			rows = append(rows, row{hub.Name, n})
			cells := []string{s.name(n.Name), s.name(n.Host), unknown, unknown, unknown, ""}
			if n.Hub != nil {
				cells[2], cells[3], cells[4] = s.name(n.Hub.Name), count(n.Hub.Connections), count(n.Hub.Sockets)
			}
			switch {
			case n.Self:
				cells[5] = "this one"
			case n.Error != "":
				cells[5] = "does not answer"
			}
			if n.Name == "" {
				cells[0] = unknown
			}
			t.add(cells...)
		}
	}
	if s.json {
		return s.printJSON(map[string]any{"nodes": rows})
	}
	return s.printf("%s", t)
}

// withNodes reports whether any of the hubs is one of a cluster.
func withNodes(hubs []adminapi.Hub) bool {
	return slices.ContainsFunc(hubs, func(h adminapi.Hub) bool { return h.Node != "" })
}
