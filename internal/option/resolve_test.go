package option

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// TestResolve holds that options are filled in where they are, and that the first error is kept.
func TestResolve(t *testing.T) {
	t.Setenv("TEST_LIST", "10.0.0.1/8, ::1")
	r := NewResolver()
	text, list, given := "", []string{}, []string{"{env.TEST_LIST}"}
	var wait, short caddy.Duration = 0, 1
	var size, small int64 = 0, 9
	var on *bool
	var number *int
	r.Text("text", &text, "default")
	r.Texts("list", &list, "a", "b")
	prefixes := r.Prefixes("given", &given)
	r.Duration("wait", &wait, time.Second)
	r.Size("size", &size, 100, 10)
	r.Switch(&on, true)
	r.Number("number", &number, 3, 1, 5)
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	if text != "default" || !slices.Equal(list, []string{"a", "b"}) || wait != caddy.Duration(time.Second) || size != 100 || !*on || *number != 3 {
		t.Errorf("got %q, %q, %d, %d, %t, %d", text, list, wait, size, *on, *number)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if !slices.Equal(prefixes, want) || !slices.Equal(given, []string{"10.0.0.0/8", "::1/128"}) {
		t.Errorf("got %v and %q", prefixes, given)
	}
	none := []string{None}
	if got := r.Prefixes("none", &none, "::1"); got != nil || r.Err() != nil {
		t.Errorf("none is %v, %v", got, r.Err())
	}
	r.Duration("short", &short, time.Second)
	r.Size("small", &small, 100, 10)
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "short must be at least 1ms") {
		t.Errorf("got %v", err)
	}
}
