package moving

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// folderOf puts files into a folder of the test's own, and returns it.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestWhatCannotBeReadIsSaid holds that an error says which file, which line and what to do.
func TestWhatCannotBeReadIsSaid(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"missing", "", "no such file or directory"},
		{"binary.conf", "server {\x00}", "not text in UTF-8"},
		{"latin.conf", "server { # Gr\xfc\xdfe\n}", "not text in UTF-8"},
		{"prose.txt", "Dear nginx,\nplease serve.\n", "nginx (blocks such as"},
		{"open.conf", "server {\n\tlisten 80;\n\tlocation / {\n\t\treturn 200;\n}\n", `open.conf:1: the block of "server" is not closed`},
		{"closed.conf", "server {\n}\n}\n", "closed.conf:3: this } closes nothing"},
		{"end.conf", "server {\n\tlisten 80\n}\n", `end.conf:2: "listen 80" does not end: a ; is missing`},
		{"quote.conf", "server {\n\troot \"/srv;\n}\n", "quote.conf:2: the quote \" is not closed"},
		{"last.conf", "server {\n}\nuser www", `last.conf:3: "user www" does not end`},
		{"deep.conf", "server {\n" + strings.Repeat("a {\n", 200), "blocks are inside of each other"},
		{"variable.conf", "server {\n\tset $a ${b\n;}\n", "variable.conf:2: the name of a variable is not closed"},
		{"empty.conf", "events { }\n", "there is no site and no service"},
		{"long.conf", "server {\n" + strings.Repeat("#", 1<<20) + "\n}", "longer than 1 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			if test.name != "missing" {
				folder = folderOf(t, map[string]string{test.name: test.text})
			}
			_, err := Migrate([]string{filepath.Join(folder, test.name)}, Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.name) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := Migrate([]string{t.TempDir()}, Options{}); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Migrate(nil, Options{}); err == nil || !strings.Contains(err.Error(), "name the files") {
		t.Errorf("no files: %v", err)
	}
}

// TestIncludesStayBelowTheFolder holds that nothing is read that is not below the folder of the file
// that was named, by whatever way, and that what is not read is said.
func TestIncludesStayBelowTheFolder(t *testing.T) {
	outside := folderOf(t, map[string]string{"other.conf": "add_header X-Outside 1;\n"})
	folder := folderOf(t, map[string]string{
		"site.conf": "server {\n\tlisten 80;\n\tserver_name a.example.com;\n" +
			"\tinclude ../other.conf;\n" +
			"\tinclude " + outside + "/other.conf;\n" +
			"\tinclude link.conf;\n" +
			"\tinclude linked/*.conf;\n" +
			"\tinclude pipe;\n" +
			"\tinclude inner/*.conf;\n" +
			"\tinclude nothing/*.conf;\n" +
			"\tinclude gone.conf;\n" +
			"\troot /srv;\n}\n",
		"inner/cors.conf": "add_header X-Inside 1;\n",
	})
	for from, to := range map[string]string{"link.conf": filepath.Join(outside, "other.conf"), "linked": outside} {
		if err := os.Symlink(to, filepath.Join(folder, from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := Migrate([]string{filepath.Join(folder, "site.conf")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(result.Caddyfile, "X-Outside") || !strings.Contains(result.Caddyfile, "header X-Inside 1") {
		t.Errorf("what was read is:\n%s", result.Caddyfile)
	}
	said := strings.Join(result.Left, "\n")
	for _, line := range []string{"site.conf:4: include ../other.conf: it is not below", "site.conf:5: include " + outside,
		"site.conf:6: include link.conf: ", "site.conf:8: include pipe: pipe is not a file",
		"site.conf:11: include gone.conf: there is no such file"} {
		if !strings.Contains(said, line) {
			t.Errorf("%q is not said:\n%s", line, said)
		}
	}
}

// TestCirclesOfIncludesAreNamed holds that files that include each other do not go on for ever.
func TestCirclesOfIncludesAreNamed(t *testing.T) {
	folder := folderOf(t, map[string]string{
		"a.conf": "server {\n\tserver_name a.example.com;\n\troot /srv;\n\tinclude b.conf;\n}\n",
		"b.conf": "include c.conf;\n",
		"c.conf": "include b.conf;\n",
	})
	result, err := Migrate([]string{filepath.Join(folder, "a.conf")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(result.Left, "\n"); !strings.Contains(said, "c.conf:1: include b.conf: the files include each other in a circle:") {
		t.Errorf("the circle is not named:\n%s", said)
	}
}

// TestManyIncludesHaveAnEnd holds that files which each include many others are not read without end.
func TestManyIncludesHaveAnEnd(t *testing.T) {
	files := map[string]string{"a.conf": "server {\n\tserver_name a.example.com;\n\troot /srv;\n\tinclude 1/*.conf;\n}\n"}
	for level := range 6 {
		for i := range 20 {
			files[string(rune('1'+level))+"/"+string(rune('a'+i))+".conf"] = "include " + string(rune('2'+level)) + "/*.conf;\n"
		}
	}
	result, err := Migrate([]string{filepath.Join(folderOf(t, files), "a.conf")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(result.Left, "\n"); !strings.Contains(said, "more than 200 files are included") {
		t.Errorf("the bound is not named")
	}
}

// TestSecretsAreNotRepeated holds that comments do not repeat what is secret.
func TestSecretsAreNotRepeated(t *testing.T) {
	for text, want := range map[string]string{
		`proxy_set_header Authorization "Basic dTpw"`:  `proxy_set_header Authorization ...`,
		`JWT_SECRET: hunter2`:                          `JWT_SECRET: ...`,
		`set $api_key "abc"`:                           `set $api_key ...`,
		`REDIS_URL=redis://user:hunter2@10.0.0.1:6379`: `REDIS_URL=redis://...@10.0.0.1:6379`,
		`ssl_certificate_key /etc/ssl/a.key`:           `ssl_certificate_key /etc/ssl/a.key`,
		"a\nb\x1b[31m\u202ec":                          "a b [31m c",
		strings.Repeat("x", 300):                       strings.Repeat("x", 117) + "...",
	} {
		if got := shown(text); got != want {
			t.Errorf("shown(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestSizesAreExact holds that a size is the same number of bytes, in whichever unit it is written.
func TestSizesAreExact(t *testing.T) {
	for text, want := range map[string]string{
		"20m": "20MiB", "100M": "100MiB", "1g": "1GiB", "512k": "512KiB", "1000000": "1MB", "1": "1", "1048577": "1048577",
		"1500000": "1500KB", "2000": "2KB", "3": "3", "100000000": "100MB",
	} {
		size, err := parseSize(text)
		if err != nil || writeSize(size) != want {
			t.Errorf("%s became %s, %v; want %s", text, writeSize(size), err, want)
		}
	}
	for _, text := range []string{"", "m", "-1", "1x", "9223372036854775807k", "1mm", "1.5m"} {
		if size, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, size)
		}
	}
	for text, want := range map[string]string{"60": "1m", "86400s": "24h", "500ms": "500ms", "1h30m": "90m", "2d": "48h", "90": "90s"} {
		if long, err := parseTime(text, 1e9); err != nil || writeTime(long) != want {
			t.Errorf("%s became %s, %v; want %s", text, writeTime(long), err, want)
		}
	}
}
