package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/moving"
)

// TestMigratedCaddyfilesAdapt holds that every Caddyfile that `caddy socketio migrate` writes of a setup
// of the corpus adapts, and is formatted as Caddy does.
func TestMigratedCaddyfilesAdapt(t *testing.T) {
	files, err := filepath.Glob("../internal/moving/testdata/*/*/Caddyfile.golden")
	if err != nil || len(files) < 10 {
		t.Fatalf("there are %d files: %v", len(files), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if formatted := string(caddyfile.Format(content)); formatted != string(content) {
			t.Errorf("%s is not formatted; it would be:\n%s", file, formatted)
		}
		if _, err := adapt(t, string(content)); err != nil {
			t.Errorf("%s: %v", strings.TrimPrefix(file, "../internal/moving/"), err)
		}
	}
}

// TestMigratedSiteRuns holds that a Caddyfile of `caddy socketio migrate` serves the pages and the
// sockets of the site that it is made of.
func TestMigratedSiteRuns(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"www/index.html": "the page",
		"site.conf": "server {\n\tlisten 80;\n\tserver_name example.com;\n\tclient_max_body_size 20m;\n\troot " + folder + "/www;\n" +
			"\tlocation /live/socket.io/ {\n\t\tproxy_pass http://127.0.0.1:3043/socket.io/;\n\t\tproxy_set_header Upgrade $http_upgrade;\n\t}\n" +
			"\tlocation / {\n\t\ttry_files $uri /index.html;\n\t}\n\tlocation /old/ {\n\t\treturn 410;\n\t}\n}\n",
	} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	result, err := moving.Migrate([]string{filepath.Join(folder, "site.conf")}, moving.Options{})
	if err != nil || len(result.Left) > 0 {
		t.Fatalf("%v, left: %q", err, result.Left)
	}
	_, site, _ := strings.Cut(result.Caddyfile, "http://example.com {\n")
	site, _, _ = strings.Cut(site, "\n}\n")
	s := startServer(t, site)
	if _, body := s.request("GET", "/deep/link", ""); body != "the page" {
		t.Errorf("a deep link is answered %q", body)
	}
	if response, _ := s.request("GET", "/old/page", ""); response.StatusCode != 410 {
		t.Errorf("an old page is answered %d", response.StatusCode)
	}
	one, other := s.connect("/live/socket.io/"), s.poll("/live/socket.io/")
	one.send(`42["message",1]`)
	if got := other.wait("42"); got != `42["message",1]` {
		t.Errorf("the other client got %s", got)
	}
}
