package documents

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importPath is the path of this module.
const importPath = "github.com/caddy-socketio/socketio-stream"

// platform matches the import paths that only those who bind the platform may have.
var platform = regexp.MustCompile(`^(github\.com/caddyserver/|github\.com/prometheus/|go\.uber\.org/zap)`)

// TestImportsFollowTheTable holds that each package imports of this module what the table in
// docs/architecture.md lets it import, that each has a row, and that no row is there for nothing.
func TestImportsFollowTheTable(t *testing.T) {
	table := Section(t, "Who may import whom")
	rules := make(map[string][]string)
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2 || !strings.Contains(cells[0], "`") {
			continue
		}
		allowed := spans(cells[1])
		if strings.TrimSpace(cells[1]) == "all" {
			allowed = []string{"**"}
		}
		for _, row := range spans(cells[0]) {
			rules[row] = allowed
		}
	}
	if len(rules) < 15 {
		t.Fatalf("the table has %d rows", len(rules))
	}
	used := make(map[string]bool)
	for name, imports := range packages(t) {
		row := ruleFor(rules, name)
		if row == "" {
			t.Errorf("%s has no row in the table", name)
			continue
		}
		used[row] = true
		for imported := range imports {
			ours, ok := strings.CutPrefix(imported, importPath)
			if !ok {
				if platform.MatchString(imported) && !bindsPlatform(name) {
					t.Errorf("%s imports %s, which is for those who bind it", name, imported)
				}
				continue
			}
			ours = strings.Trim(ours, "/")
			if ours == "" {
				ours = "."
			}
			if !slices.ContainsFunc(rules[row], func(pattern string) bool { return matches(pattern, ours) }) {
				t.Errorf("%s imports %s, and the table does not say that it may", name, ours)
			}
		}
	}
	for row := range rules {
		if !used[row] {
			t.Errorf("no package is what the row %q is about", row)
		}
	}
}

// spans returns the code spans of a cell.
func spans(cell string) []string {
	var texts []string
	for i, text := range strings.Split(cell, "`") {
		if i%2 == 1 {
			texts = append(texts, text)
		}
	}
	return texts
}

// ruleFor returns the row that is about a package: the one that names it, or the pattern.
func ruleFor(rules map[string][]string, name string) string {
	if _, ok := rules[name]; ok {
		return name
	}
	for row := range rules {
		if matches(row, name) {
			return row
		}
	}
	return ""
}

// matches reports whether a pattern of the table means a package: a star stands for one folder,
// two for any number.
func matches(pattern, name string) bool {
	if pattern == "**" {
		return true
	}
	ok, _ := path.Match(pattern, name)
	return ok
}

// bindsPlatform reports whether a package may import Caddy, zap and Prometheus.
func bindsPlatform(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return name == "." || first == "hub" || first == "admin" || strings.HasSuffix(name, "caddy") ||
		slices.Contains([]string{"internal/option", "internal/migrate", "internal/sites", "internal/doctor", "internal/clientaddr", "internal/clientfiles"}, name)
}

// packages returns what each package of the module imports, without its tests.
func packages(t *testing.T) map[string]map[string]bool {
	root := Root(t)
	all := make(map[string]map[string]bool)
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			// What tests and users build is held by its own go.mod, or binds the module from
			// outside.
			if skipped[entry.Name()] || slices.Contains([]string{"bench", "tools", "e2e", "examples", "client"}, name) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		if all[folder] == nil {
			all[folder] = make(map[string]bool)
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			all[folder][imported] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
