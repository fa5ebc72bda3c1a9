package documents

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadmeIsShort holds that the README stays what one reads first: what is long has a page of
// its own.
func TestReadmeIsShort(t *testing.T) {
	const most = 250
	if lines := strings.Count(page(t, "README.md").Text, "\n"); lines > most {
		t.Errorf("README.md has %d lines, and at most %d are good to read", lines, most)
	}
}

// TestPagesSayWhatTheyAre holds that a page of the manual begins with its title and a paragraph.
func TestPagesSayWhatTheyAre(t *testing.T) {
	for _, page := range Manual(t) {
		beginning := regexp.MustCompile("^# [^\n]+\n\n[A-Za-z`]")
		if !strings.HasPrefix(page.Path, "docs/decisions/") && !beginning.MatchString(page.Text) {
			t.Errorf("%s does not begin with a title and a paragraph", page.Path)
		}
	}
}

// TestFrontPageLeadsToAllPages holds that docs/README.md has a link to every page below docs.
func TestFrontPageLeadsToAllPages(t *testing.T) {
	linked := make(map[string]bool)
	for _, link := range page(t, "docs/README.md").Links {
		target, _, _ := strings.Cut(link.Target, "#")
		linked[path.Join("docs", target)] = true
	}
	for _, page := range Manual(t) {
		if page.Path != "docs/README.md" && !linked[page.Path] {
			t.Errorf("docs/README.md does not lead to %s", page.Path)
		}
	}
}

var (
	scriptLine = regexp.MustCompile(`(?:^|\s|/)(xcaddy|test)\.sh((?: [a-z0-9]+)*)`)
	scriptCase = regexp.MustCompile(`(?m)^\s*([a-z0-9]+(?: \| [a-z0-9]+)*)\)`)
	caddyIn    = regexp.MustCompile(`xcaddy build (v[0-9.]+)[\s\\]+--with (\S+)@v0\.0\.0=`)
)

// TestScriptsInThePagesExist holds that the two scripts take what the pages say to call them with,
// and that the README names both.
func TestScriptsInThePagesExist(t *testing.T) {
	commands := make(map[string][]string)
	for _, script := range []string{"xcaddy", "test"} {
		for _, match := range scriptCase.FindAllStringSubmatch(read(t, script+".sh"), -1) {
			commands[script] = append(commands[script], strings.Split(match[1], " | ")...)
		}
	}
	inReadme := make(map[string]bool)
	for _, page := range All(t) {
		for _, code := range append(page.Blocks, page.Spans...) {
			for _, match := range scriptLine.FindAllStringSubmatch(code.Text, -1) {
				inReadme[match[1]] = inReadme[match[1]] || page.Path == "README.md"
				for _, argument := range strings.Fields(match[2]) {
					if !slices.Contains(commands[match[1]], argument) {
						t.Errorf("%s: %s.sh knows no %q", code.Place, match[1], argument)
					}
				}
			}
		}
	}
	if !inReadme["xcaddy"] || !inReadme["test"] {
		t.Error("README.md does not name both ./xcaddy.sh and ./test.sh")
	}
}

// TestXcaddyLines holds that the pages build with the same Caddy as xcaddy.sh and go.mod.
func TestXcaddyLines(t *testing.T) {
	_, version, _ := strings.Cut(read(t, "xcaddy.sh"), "CADDY_VERSION=")
	version, _, _ = strings.Cut(version, "\n")
	if !strings.Contains(read(t, "go.mod"), "github.com/caddyserver/caddy/v2 "+version+"\n") {
		t.Errorf("xcaddy.sh has Caddy %s, and go.mod another one", version)
	}
	seen := 0
	for _, page := range All(t) {
		for _, match := range caddyIn.FindAllStringSubmatch(page.Text, -1) {
			seen++
			if match[1] != version || match[2] != strings.TrimSpace(strings.TrimPrefix(module, "module ")) {
				t.Errorf("%s builds with %q, and xcaddy.sh with Caddy %s", page.Path, match[0], version)
			}
		}
	}
	if seen == 0 {
		t.Error("no page says how to build with xcaddy")
	}
}

func page(t *testing.T, path string) *Page {
	t.Helper()
	pages := All(t)
	i := slices.IndexFunc(pages, func(p *Page) bool { return p.Path == path })
	if i < 0 {
		t.Fatalf("there is no %s", path)
	}
	return pages[i]
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(Root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestTablesAreWhole holds that each row of a table has as many cells as its head: what is beyond
// would not be shown, and a bar within code counts as the end of a cell.
func TestTablesAreWhole(t *testing.T) {
	for _, page := range All(t) {
		cells, fenced := 0, false
		for i, line := range strings.Split(page.Text, "\n") {
			fenced = fenced != strings.HasPrefix(strings.TrimSpace(line), "```")
			if fenced || !strings.HasPrefix(line, "|") {
				cells = 0
				continue
			}
			bars := strings.Count(line, "|") - strings.Count(line, `\|`)
			if cells > 0 && bars != cells || !strings.HasSuffix(line, "|") {
				t.Errorf("%s:%d: the row has %d bars, and the head %d", page.Path, i+1, bars, cells)
			}
			if cells == 0 {
				cells = bars
			}
		}
	}
}
