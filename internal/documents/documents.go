// Package documents reads the pages of this project for tests that hold what they say: every
// Caddyfile adapts, every command is one that there is, every link leads somewhere.
package documents

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the first line of the go.mod in the root of the repository.
const module = "module github.com/caddy-socketio/socketio-stream\n"

// skipped are folders that hold nothing of this project's own.
var skipped = map[string]bool{".git": true, "build": true, "dist": true, "node_modules": true}

// Root returns the folder that holds the repository.
func Root(t testing.TB) string {
	t.Helper()
	folder, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		content, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), module) {
			return folder
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			t.Fatal("no folder above this one holds the repository")
		}
		folder = parent
	}
}

// All returns every page of the repository.
func All(t testing.TB) []*Page {
	t.Helper()
	root := Root(t)
	var pages []*Page
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped[entry.Name()]:
			return filepath.SkipDir
		case entry.IsDir() || path.Ext(file) != ".md":
			return nil
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		pages = append(pages, parse(filepath.ToSlash(name), content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// Manual returns README.md and the pages below docs, which together say how to use this module.
func Manual(t testing.TB) []*Page {
	t.Helper()
	return slices.DeleteFunc(All(t), func(p *Page) bool {
		return p.Path != "README.md" && !strings.HasPrefix(p.Path, "docs/")
	})
}

// Blocks returns the fenced code blocks of the manual that are marked with a language. A test that
// looks at them has nothing to hold where there are none, so that fails it.
func Blocks(t testing.TB, language string) []Block {
	t.Helper()
	var blocks []Block
	for _, page := range Manual(t) {
		for _, block := range page.Blocks {
			if block.Language == language {
				blocks = append(blocks, block)
			}
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("the manual has no block of %s", language)
	}
	return blocks
}

// Section returns what the manual says below a heading, which it must have exactly once.
func Section(t testing.TB, heading string) string {
	t.Helper()
	var places []string
	var text string
	for _, page := range Manual(t) {
		for i, h := range page.Headings {
			if h.Text == heading {
				places = append(places, fmt.Sprintf("%s:%d", page.Path, h.Line))
				text = page.section(i)
			}
		}
	}
	if len(places) != 1 {
		t.Fatalf("the heading %q is in the manual at %q, and has to be there once", heading, places)
	}
	return text
}
