package redis

import (
	"crypto/tls"
	"strings"
	"testing"
)

func TestOptionsAreChecked(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"no scheme":           {Options{URLs: []string{"127.0.0.1:6379"}}, `"127.0.0.1:6379" is no URL: write one such as redis://127.0.0.1:6379`},
		"no URL but a secret": {Options{URLs: []string{"u:secret@a"}}, `"(not shown)" begins with u`},
		"http":                {Options{URLs: []string{"http://a:1"}}, "begins with http: an address of Redis begins with redis, rediss or unix"},
		"no host":             {Options{URLs: []string{"redis:///1"}}, "names no host"},
		"no host but a port":  {Options{URLs: []string{"rediss://:6379"}}, "names no host: write one such as rediss://127.0.0.1:6379"},
		"no socket":           {Options{URLs: []string{"unix://"}}, "names no socket"},
		"database":            {Options{URLs: []string{"redis://u:secret@a/x"}}, "redis://u:xxxxx@a/x"},
		"twice":               {Options{URLs: []string{"redis://a", "redis://a"}}, "is given twice"},
		"cluster of sockets":  {Options{URLs: []string{"redis://a", "unix:///b"}}, "not reached by unix"},
		"sentinel and socket": {Options{URLs: []string{"unix:///b"}, Master: "m", Sentinels: []string{"a:1"}}, "not reached by unix"},
		"sentinel and two":    {Options{URLs: []string{"redis://a", "redis://b"}, Master: "m", Sentinels: []string{"a:1"}}, "give one url at most"},
		"sentinel nowhere":    {Options{Master: "m"}, "one address at least"},
		"tls_ca":              {Options{URLs: []string{"redis://a"}, TLS: new(tls.Config)}, "tls_ca needs a url that begins with rediss"},
		"prefix":              {Options{Prefix: "a#b"}, `prefix "a#b": it has no number sign`},
	} {
		err := test.options.Check()
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
	for _, good := range []Options{
		{}, {URLs: []string{"redis://u:p@a:1/2"}}, {URLs: []string{"unix:///run/redis.sock"}}, {URLs: []string{"redis://a:1", "redis://b:1"}},
		{URLs: []string{"rediss://a"}, TLS: new(tls.Config)}, {Master: "m", Sentinels: []string{"a:1"}},
	} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
		client, _, err := good.withDefaults().client()
		if err != nil {
			t.Errorf("%+v: %v", good, err)
			continue
		}
		_ = client.Close()
	}
}
