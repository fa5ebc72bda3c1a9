package admincli

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// mostRooms is how many rooms of a namespace are read to find the largest.
const mostRooms = 10 * adminapi.MaxLimit

// list is what ls was asked for.
type list struct {
	namespace string
	room      string
	identity  string
	node      string
	slow      bool
	limit     int
}

func newList() *cobra.Command {
	var l list
	cmd := &cobra.Command{
		Use:   "ls [hubs|nodes|namespaces|rooms|sockets]",
		Short: "Lists hubs, namespaces, rooms or sockets",
		Long: `Lists the hubs of a running Caddy, or what is in them: their namespaces, the
largest rooms, or the sockets, which are the clients in one namespace each.

Where a hub is one of a cluster, all servers of it are listed, or with --node
one of them; ls nodes has their names.`,
		Example: `  caddy socketio ls
  caddy socketio ls rooms --namespace /chat
  caddy socketio ls sockets --slow
  caddy socketio ls sockets --identity ada
  caddy socketio ls sockets --room stream:kitchen --json`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"hubs", "nodes", "namespaces", "rooms", "sockets"},
	}
	flags := cmd.Flags()
	flags.StringVarP(&l.namespace, "namespace", "n", "", "Only this namespace")
	flags.StringVar(&l.room, "room", "", "Only sockets in this room")
	flags.StringVar(&l.identity, "identity", "", "Only sockets of the client that is known as this")
	flags.StringVar(&l.node, "node", "", "Only this server of the cluster")
	flags.BoolVar(&l.slow, "slow", false, "Only sockets that do not keep up")
	flags.IntVar(&l.limit, "limit", 50, "How many rooms or sockets to list, 1 to 1000")
	return prepare(cmd, l.run)
}

func (l *list) run(ctx context.Context, s *session, args []string) error {
	what := "hubs"
	if len(args) == 1 {
		what = args[0]
	}
	switch {
	case what != "sockets" && (l.room != "" || l.slow || l.identity != ""):
		return fmt.Errorf("--room, --identity and --slow are for ls sockets")
	case (what == "hubs" || what == "nodes") && l.namespace != "":
		return fmt.Errorf("--namespace is for ls namespaces, rooms and sockets")
	case l.limit < 1 || l.limit > adminapi.MaxLimit:
		return fmt.Errorf("--limit must be from 1 to %d, is %d", adminapi.MaxLimit, l.limit)
	}
	if l.namespace != "" {
		l.namespace = namespaceName(l.namespace)
	}
	hubs, err := s.client.hubs(ctx, s.hubName)
	if err != nil {
		return err
	}
	if len(hubs) == 0 && !s.json {
		return s.printf("%s\n", noHub)
	}
	asked := hubs
	if what != "nodes" {
		if hubs, err = s.across(ctx, hubs, l.node); err != nil {
			return err
		}
	}
	if err := l.narrow(hubs); err != nil {
		return err
	}
	_ = l.narrow(asked) // it has the namespaces of all
	switch what {
	case "nodes":
		return l.nodeTable(ctx, s, asked)
	case "rooms":
		return l.rooms(ctx, s, asked)
	case "sockets":
		return l.sockets(ctx, s, asked, hubs)
	case "namespaces":
		return l.namespaces(s, hubs)
	default:
		return l.hubs(s, hubs)
	}
}

// narrow leaves the namespace that was asked for.
func (l *list) narrow(hubs []adminapi.Hub) error {
	if l.namespace == "" {
		return nil
	}
	var others []string
	found := false
	for i := range hubs {
		kept := hubs[i].Namespaces[:0:0]
		for _, namespace := range hubs[i].Namespaces {
			others = append(others, namespace.Name)
			if namespace.Name == l.namespace {
				kept, found = append(kept, namespace), true
			}
		}
		hubs[i].Namespaces = kept
	}
	if !found {
		slices.Sort(others)
		return fmt.Errorf("there is no namespace %s; there is %s", l.namespace, strings.Join(slices.Compact(others), ", "))
	}
	return nil
}

func (l *list) hubs(s *session, hubs []adminapi.Hub) error {
	if s.json {
		return s.printJSON(adminapi.Hubs{Hubs: hubs})
	}
	return s.printf("%s", hubTable(s, hubs, nil, 0))
}

// waitingColumn is the place, in the table of hubs, of the clients that wait.
const waitingColumn = 3

// hubTable shows hubs, and beside each counter how much it has grown since
// others were seen, elapsed ago.
func hubTable(s *session, hubs, before []adminapi.Hub, elapsed time.Duration) *table {
	t := &table{headings: []string{"HUB", " CONNECTIONS", " SOCKETS", " ROOMS", " BUFFERED"}}
	// An older Caddy does not count them.
	waiting := slices.ContainsFunc(hubs, func(h adminapi.Hub) bool { return h.Waiting != nil })
	if waiting {
		t.headings = slices.Insert(t.headings, waitingColumn, " WAITING")
	}
	noded := withNodes(hubs)
	rates := rateColumns(hubs)
	for _, rate := range rates {
		t.headings = append(t.headings, " "+rate.heading)
	}
	t.headings = append(t.headings, " SLOW", " DROPPED", " REFUSED")
	for _, hub := range hubs {
		var old *adminapi.Counters
		if i := slices.IndexFunc(before, func(h adminapi.Hub) bool { return h.Name == hub.Name && h.Node == hub.Node }); i >= 0 {
			old = &before[i].Counters
		}
		cells := []string{s.name(hub.Name), count(hub.Connections), count(hub.Sockets), count(hub.Rooms), size(hub.BufferedBytes)}
		if waiting && hub.Waiting != nil {
			cells = slices.Insert(cells, waitingColumn, count(*hub.Waiting))
		} else if waiting {
			cells = slices.Insert(cells, waitingColumn, unknown)
		}
		for _, rate := range rates {
			cells = append(cells, rate.cell(&hub.Counters, old, elapsed))
		}
		growth := func(value func(*adminapi.Counters) int64) string {
			now := value(&hub.Counters)
			if old == nil || now <= value(old) {
				return count(now)
			}
			return count(now) + " +" + count(now-value(old))
		}
		cells = append(cells,
			growth(func(c *adminapi.Counters) int64 { return c.SlowClients }),
			growth(func(c *adminapi.Counters) int64 { return c.VolatileDropped }),
			growth(func(c *adminapi.Counters) int64 { return c.Refused }))
		if noded {
			cells = slices.Insert(cells, 1, s.name(hub.Node))
		}
		t.add(cells...)
	}
	if noded {
		t.headings = slices.Insert(t.headings, 1, "NODE")
	}
	return t
}

func (l *list) namespaces(s *session, hubs []adminapi.Hub) error {
	type row struct {
		Hub  string `json:"hub"`
		Node string `json:"node,omitempty"`
		adminapi.Namespace
	}
	rows := []row{}
	t := &table{headings: []string{"HUB", "NAMESPACE", " SOCKETS", " ROOMS"}}
	noded := withNodes(hubs)
	if noded {
		t.headings = slices.Insert(t.headings, 1, "NODE")
	}
	for _, hub := range hubs {
		for _, n := range hub.Namespaces {
			rows = append(rows, row{hub.Name, hub.Node, n})
			cells := []string{s.name(hub.Name), s.name(n.Name), count(n.Sockets), count(n.Rooms)}
			if noded {
				cells = slices.Insert(cells, 1, s.name(hub.Node))
			}
			t.add(cells...)
		}
	}
	if s.json {
		return s.printJSON(map[string]any{"namespaces": rows})
	}
	return s.printf("%s", t)
}

func (l *list) rooms(ctx context.Context, s *session, hubs []adminapi.Hub) error {
	type row struct {
		Hub       string `json:"hub"`
		Namespace string `json:"namespace"`
		adminapi.Room
	}
	rows := []row{}
	total := 0
	for _, hub := range hubs {
		for _, n := range hub.Namespaces {
			total += n.Rooms
			for after, read := "", 0; read < mostRooms; {
				var page adminapi.Rooms
				if err := s.client.get(ctx, join("hubs", hub.Name, "namespaces", n.Name, "rooms"), l.query(after, adminapi.MaxLimit), &page); err != nil {
					return err
				}
				for _, room := range page.Rooms {
					rows = append(rows, row{hub.Name, n.Name, room})
				}
				if read == 0 {
					s.warn(page.Missing)
				}
				read += len(page.Rooms)
				if after = page.Next; after == "" {
					break
				}
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return b.Sockets - a.Sockets })
	total = max(total, len(rows))
	rows = rows[:min(len(rows), l.limit)]
	if s.json {
		return s.printJSON(map[string]any{"rooms": rows})
	}
	if len(rows) == 0 {
		return s.printf("No room has anybody in it.\n")
	}
	t := &table{headings: []string{"HUB", "NAMESPACE", "ROOM", " SOCKETS"}}
	for _, r := range rows {
		t.add(s.name(r.Hub), s.name(r.Namespace), s.name(r.Name), count(r.Sockets))
	}
	return s.printf("%s%s", t, l.rest(len(rows), total, "rooms"))
}

// rest says how many there are besides those that were listed.
func (l *list) rest(listed, total int, what string) string {
	if total <= listed {
		return ""
	}
	return fmt.Sprintf("These are %s of %s %s; --limit shows more.\n", count(listed), count(total), what)
}

// query asks for a page of what is listed.
func (l *list) query(after string, limit int) url.Values {
	query := pageQuery(after, limit)
	if l.node != "" {
		query.Set("node", l.node)
	}
	return query
}

// socketRow is a socket and where it is.
type socketRow struct {
	Hub string `json:"hub"`
	adminapi.Socket
}

// socketsOf lists the first sockets of hubs, and tells whether there are more.
func socketsOf(ctx context.Context, s *session, hubs []adminapi.Hub, l *list) (rows []socketRow, more bool, err error) {
	rows = []socketRow{}
	for _, hub := range hubs {
		query := l.query("", l.limit)
		if l.room != "" {
			query.Set("room", l.room)
		}
		if l.identity != "" {
			query.Set("identity", l.identity)
		}
		if l.slow {
			query.Set("slow", "true")
		}
		path := join("hubs", hub.Name, "sockets")
		if l.namespace != "" {
			if len(hub.Namespaces) == 0 {
				continue
			}
			path = join("hubs", hub.Name, "namespaces", l.namespace, "sockets")
		}
		var page adminapi.Sockets
		if err := s.client.get(ctx, path, query, &page); err != nil {
			return nil, false, err
		}
		for _, socket := range page.Sockets {
			rows = append(rows, socketRow{hub.Name, socket})
		}
		more = more || page.Next != ""
		s.warn(page.Missing)
	}
	more = more || len(rows) > l.limit
	return rows[:min(len(rows), l.limit)], more, nil
}

// sockets lists sockets. asked are the hubs of the server that is asked, hubs those of all that are listed.
func (l *list) sockets(ctx context.Context, s *session, asked, hubs []adminapi.Hub) error {
	rows, more, err := socketsOf(ctx, s, asked, l)
	if err != nil {
		return err
	}
	slices.SortStableFunc(rows, func(a, b socketRow) int { return a.ConnectedSince.Compare(b.ConnectedSince) })
	if s.json {
		return s.printJSON(map[string]any{"sockets": rows})
	}
	if len(rows) == 0 {
		return s.printf("%s%s%s\n", l.nobody(), s.alike(ctx, hubs, l.identity), l.waiting(hubs))
	}
	text := socketTable(s, rows, time.Now()).String()
	if more {
		total := 0
		for _, hub := range hubs {
			for _, n := range hub.Namespaces {
				total += n.Sockets
			}
		}
		if l.room != "" || l.identity != "" || l.slow {
			text += "There are more; --limit shows more.\n"
		} else {
			text += l.rest(len(rows), max(total, len(rows)+1), "sockets")
		}
	}
	return s.printf("%s", text)
}

// waiting says, in a sentence that begins with a blank, how many sockets are not let in yet, if any.
func (l *list) waiting(hubs []adminapi.Hub) string {
	var total int64
	for _, hub := range hubs {
		if hub.Waiting != nil {
			total += *hub.Waiting
		}
	}
	if total == 0 || *l != (list{limit: l.limit, node: l.node}) {
		return ""
	}
	return " " + some(total, "socket waits", "sockets wait") + " until it is found out who the client is: where that stays so, the log says why."
}

// nobody says that there are no sockets of the kind asked for.
func (l *list) nobody() string {
	text := "No socket is connected"
	if l.slow {
		text = "No slow socket is connected"
	}
	if l.namespace != "" {
		text += " to " + printable(l.namespace)
	}
	if l.room != "" {
		text += " that is in the room " + printable(l.room)
	}
	if l.identity != "" {
		text += " as " + printable(l.identity)
	}
	return text + "."
}

// nodeColumn and identityColumn are the places of the servers and of the identities in the table of sockets.
const (
	nodeColumn     = 2
	identityColumn = 3
)

// spoken is the transport, and the revision of Engine.IO where that is an old one.
func spoken(s adminapi.Socket) string {
	if s.Protocol == 3 {
		return printable(s.Transport) + " EIO3"
	}
	return printable(s.Transport)
}

func socketTable(s *session, rows []socketRow, now time.Time) *table {
	t := &table{headings: []string{"SOCKET", "HUB", "NAMESPACE", "TRANSPORT", "ADDRESS", " CONNECTED", " IN", " OUT", " QUEUED", "", "ROOMS"}}
	// Where nobody has to show who it is, there is nothing to show.
	known := slices.ContainsFunc(rows, func(r socketRow) bool { return r.Identity != "" })
	if known {
		t.headings = slices.Insert(t.headings, identityColumn, "IDENTITY")
	}
	noded := slices.ContainsFunc(rows, func(r socketRow) bool { return r.Node != "" })
	if noded {
		t.headings = slices.Insert(t.headings, nodeColumn, "NODE")
	}
	const shown = 3
	for _, r := range rows {
		slow := ""
		if r.Slow {
			slow = "slow"
		}
		var rooms []string
		for _, room := range r.Rooms[:min(len(r.Rooms), shown)] {
			rooms = append(rooms, s.name(room))
		}
		if r.RoomCount > shown {
			rooms = append(rooms, fmt.Sprintf("and %s more", count(r.RoomCount-shown)))
		}
		cells := []string{printable(r.ID), s.name(r.Hub), s.name(r.Namespace), spoken(r.Socket), printable(r.Address),
			duration(now.Sub(r.ConnectedSince)), size(r.BytesIn), size(r.BytesOut), size(r.QueuedBytes), slow, strings.Join(rooms, ", ")}
		if known {
			cells = slices.Insert(cells, identityColumn, s.name(r.Identity))
		}
		if noded {
			cells = slices.Insert(cells, nodeColumn, s.name(r.Node))
		}
		t.add(cells...)
	}
	return t
}
