package streaming

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// TestEndTellsTheNamespaces holds that the line at the end of a connection
// names the namespaces the client was in, those it has left included.
func TestEndTellsTheNamespaces(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{Engine: engineio.Options{LogConnections: engineio.LogAll}})
			for _, name := range []string{"/left", "/removed", "/unused"} {
				s.Of(name)
			}
			c := s.dial(transport)
			for _, name := range []string{"/", "/removed", "/left"} {
				c.connect(name)
			}
			c.send("1/left,")
			s.Remove("/removed")
			c.expect("1/removed,")
			c.send("0/none,")
			c.expect(`4/none,{"message":"Invalid namespace"}`)
			s.Of("/").Everyone().Disconnect(true)
			eventually(t, "the end to be logged", func() bool { return len(s.logs.all("connection ended")) == 1 })
			line := s.logs.all("connection ended")[0]
			if got, want := line.attrs["namespaces"], "[/ /left /removed]"; got != want || line.level != slog.LevelInfo {
				t.Errorf("namespaces %s at level %v, want %s", got, line.level, want)
			}
		})
	}
}

func TestClientThatJoinsNoNamespaceIsLogged(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(engineio.WebSocket)
	c.close()
	eventually(t, "the end to be logged", func() bool { return len(s.logs.all("connection ended")) == 1 })
	if got := s.logs.all("connection ended")[0].attrs["namespaces"]; got != "[]" {
		t.Errorf("namespaces %s", got)
	}
}

func TestNamespaceBitsRunOut(t *testing.T) {
	var b namespaceBits
	var all, last uint64
	for i := range 100 {
		last = b.of(fmt.Sprint("/", i))
		all |= last
	}
	if b.of("/0") != 1 || b.of("/99") != last || last != 1<<overflow || all != ^uint64(0) {
		t.Errorf("bits %x, %x, all %x", b.of("/0"), last, all)
	}
	if names := b.list(1<<3 | 1<<overflow); strings.Join(names, " ") != "/3 others" {
		t.Errorf("names %v", names)
	}
	if names := b.list(all); len(names) != overflow+1 {
		t.Errorf("%d names", len(names))
	}
}

// TestRefusedNamespacesAreLimited asks for namespaces that are not there, each
// time another one: the lines are few, bounded and add up.
func TestRefusedNamespacesAreLimited(t *testing.T) {
	const attempts = 300
	s := newTestServer(t, Options{})
	c := s.dial(engineio.WebSocket)
	// All of them come within one interval of the limit.
	for i := range attempts {
		c.send(fmt.Sprintf("0/%d\u202e%s,", i, strings.Repeat("x", 200)))
	}
	for range attempts {
		c.next()
	}
	lines := s.logs.all("connection to a namespace refused")
	if len(lines) != logline.First {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		if name := line.attrs["namespace"]; len(name) > 2*maxLoggedNamespace || strings.Contains(name, "\u202e") || line.level != slog.LevelWarn || line.attrs["connection"] == "" {
			t.Errorf("line %+v", line)
		}
	}
	s.refusals.Flush()
	more := s.logs.all("more connections to a namespace refused")
	if len(more) != 1 || more[0].attrs["count"] != fmt.Sprint(attempts-logline.First) {
		t.Errorf("the others: %+v", more)
	}
}
