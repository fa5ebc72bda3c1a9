package option

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"hub", "path", "ping_interval", "ping_timeout", "max_http_buffer_size", "allow_upgrades", "cors", "cookie", "drain", "relay"}
	for wrong, want := range map[string]string{
		"pingInterval": "ping_interval", "ping_intervall": "ping_interval", "ping-timeout": "ping_timeout", "pingtimeuot": "ping_timeout",
		"maxHttpBufferSize": "max_http_buffer_size", "allowUpgrades": "allow_upgrades", "paths": "path", "CORS": "cors", "cros": "cors",
		"hubs": "hub", "rely": "relay", "drian": "drain",
		"": "", "x": "", "bus": "", "origin": "", "transport": "", "connect_timeout": "", "serve_client": "",
	} {
		if got := nearest(wrong, words); got != want {
			t.Errorf("%q is taken for %q, want %q", wrong, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"ca", "abc", 3}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
