package admincli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// What the screen of a terminal is told. Nothing but a terminal gets these.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // a screen of its own, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// The bounds of top.
const (
	shortestInterval = 100 * time.Millisecond
	mostSlow         = 10
	mostNamespaces   = 20
)

// top is what top was asked for.
type top struct {
	interval time.Duration
	once     bool
	node     string
}

// sample is what was seen at one moment.
type sample struct {
	Time time.Time      `json:"time"`
	Hubs []adminapi.Hub `json:"hubs"`
	Slow []socketRow    `json:"slow"`
}

func newTop() *cobra.Command {
	t := top{}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Shows what goes on, again and again",
		Long: `Shows the hubs, their namespaces and the clients that do not keep up, and
refreshes that until it is interrupted. SLOW, DROPPED and REFUSED count since
the hub was made: the clients that were cut off because they did not keep up,
the volatile packets that were dropped, and the connections that were refused;
+n is by how much they have grown since the last refresh.`,
		Example: `  caddy socketio top
  caddy socketio top --once
  caddy socketio top --json --interval 10s >> top.jsonl`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.DurationVar(&t.interval, "interval", 2*time.Second, "Time between refreshes")
	flags.StringVar(&t.node, "node", "", "Only this server of the cluster")
	flags.BoolVar(&t.once, "once", false, "Show one screen, with totals in place of rates, and end")
	return prepare(cmd, t.run)
}

func (t *top) run(ctx context.Context, s *session, _ []string) error {
	if t.interval < shortestInterval {
		return fmt.Errorf("--interval must be at least %s, is %s", shortestInterval, t.interval)
	}
	before, err := t.sample(ctx, s)
	if err != nil {
		return err
	}
	if t.once {
		return t.show(s, before, nil)
	}
	if s.terminal != nil && !s.json {
		if err := s.printf("%s", enterScreen); err != nil {
			return err
		}
		defer func() { _ = s.printf("%s", leaveScreen) }()
	}
	if err := t.show(s, before, nil); err != nil {
		return err
	}
	ticker := time.NewTicker(t.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now, err := t.sample(ctx, s)
		if err != nil {
			return err
		}
		if err := t.show(s, now, before); err != nil {
			return err
		}
		before = now
	}
}

// sample asks for everything that is shown.
func (t *top) sample(ctx context.Context, s *session) (*sample, error) {
	hubs, err := s.client.hubs(ctx, s.hubName)
	if err != nil {
		return nil, err
	}
	s.warned = nil
	all, err := s.across(ctx, hubs, t.node)
	if err != nil {
		return nil, err
	}
	now := &sample{Time: time.Now(), Hubs: all}
	now.Slow, _, err = socketsOf(ctx, s, hubs, &list{slow: true, node: t.node, limit: adminapi.MaxLimit})
	if isNotFound(err) {
		// A hub has ended in between.
		now.Slow, err = []socketRow{}, nil
	}
	slices.SortStableFunc(now.Slow, func(a, b socketRow) int { return cmp.Compare(b.QueuedBytes, a.QueuedBytes) })
	return now, err
}

// show writes one screen.
func (t *top) show(s *session, now, before *sample) error {
	if s.json {
		return s.printJSON(now)
	}
	text := t.screen(s, now, before)
	if s.terminal == nil {
		if before != nil {
			text = "\n" + text
		}
		return s.printf("%s", text)
	}
	if t.once {
		return s.printf("%s", text)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if width, height, err := term.GetSize(int(s.terminal.Fd())); err == nil && width > 0 && height > 1 {
		lines = lines[:min(len(lines), height-1)]
		for i := range lines {
			lines[i] = shorten(lines[i], width)
		}
	}
	return s.printf("%s%s%s%s", toTop, strings.Join(lines, clearLine+"\n"), clearLine+"\n", clearBelow)
}

// screen puts together what is to be read.
func (t *top) screen(s *session, now, before *sample) string {
	var b strings.Builder
	kind := "refreshed every " + t.interval.String()
	if t.once {
		kind = "totals since each hub was made"
	}
	fmt.Fprintf(&b, "Socket.IO at %s, %s, %s\n\n", s.client.endpoint, now.Time.Format(time.TimeOnly), kind)
	if len(now.Hubs) == 0 {
		b.WriteString(noHub + "\n")
		return b.String()
	}
	var old []adminapi.Hub
	elapsed := t.interval
	if before != nil {
		old, elapsed = before.Hubs, now.Time.Sub(before.Time)
	} else if t.once {
		elapsed = 0
	}
	b.WriteString(hubTable(s, now.Hubs, old, elapsed).String())

	namespaces := &table{headings: []string{"NAMESPACE", "HUB", " SOCKETS", " ROOMS"}}
	noded := withNodes(now.Hubs)
	if noded {
		namespaces.headings = slices.Insert(namespaces.headings, 2, "NODE")
	}
	total := 0
	for _, hub := range now.Hubs {
		for _, n := range hub.Namespaces {
			if total++; total <= mostNamespaces {
				cells := []string{s.name(n.Name), s.name(hub.Name), count(n.Sockets), count(n.Rooms)}
				if noded {
					cells = slices.Insert(cells, 2, s.name(hub.Node))
				}
				namespaces.add(cells...)
			}
		}
	}
	fmt.Fprintf(&b, "\n%s", namespaces)
	if total > mostNamespaces {
		fmt.Fprintf(&b, "and %s\n", some(total-mostNamespaces, "namespace more", "namespaces more"))
	}
	if len(now.Slow) == 0 {
		b.WriteString("\nAll clients keep up.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\n%s up:\n%s", some(len(now.Slow), "client does not keep", "clients do not keep"),
		socketTable(s, now.Slow[:min(len(now.Slow), mostSlow)], now.Time))
	return b.String()
}
