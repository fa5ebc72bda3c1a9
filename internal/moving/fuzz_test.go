package moving

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzReader holds that whatever a file says, it is read without a panic, that each line is told of, with
// a reason where it is not taken, and that what is left is told in one line each.
func fuzzReader(f *testing.F, kind, name string) {
	corpus(f, func(folder string, names []string) {
		if !strings.HasPrefix(strings.ToLower(kind), filepath.Base(filepath.Dir(folder))) {
			return
		}
		for _, each := range names {
			text, err := os.ReadFile(each)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	})
	f.Add("server { location { } }")
	f.Add("socket.on('a', (b) => socket.broadcast.emit('a', b));")
	f.Fuzz(func(t *testing.T, text string) {
		s := &setup{files: &files{folder: "/nowhere/at/all"}}
		if readers[kind](s, "/nowhere/at/all/"+name, text) != nil {
			return
		}
		s.settle()
		result := s.result([]string{name}, nil)
		if !utf8.ValidString(result.Caddyfile) && utf8.ValidString(text) {
			t.Error("the Caddyfile is not UTF-8")
		}
		for _, each := range result.Left {
			if strings.ContainsAny(each, "\n\r\x1b") {
				t.Errorf("a line that is left is more than one: %q", each)
			}
		}
		walk(s.directives, func(d *directive) {
			if d.fate == unseen {
				t.Errorf("nothing is said of %s", d.text)
			}
			if (d.fate == left || d.fate == needless) && d.why == "" {
				t.Errorf("no reason is given for %s", d.text)
			}
		})
	})
}

func FuzzNginx(f *testing.F) { fuzzReader(f, kindNginx, "site.conf") }

func FuzzApache(f *testing.F) { fuzzReader(f, kindApache, "site.conf") }

func FuzzNode(f *testing.F) { fuzzReader(f, kindNode, "server.js") }

func FuzzPM2(f *testing.F) { fuzzReader(f, kindPM2, "ecosystem.config.js") }

func FuzzHAProxy(f *testing.F) { fuzzReader(f, kindHAProxy, "haproxy.cfg") }

func FuzzCompose(f *testing.F) { fuzzReader(f, kindCompose, "compose.yaml") }
