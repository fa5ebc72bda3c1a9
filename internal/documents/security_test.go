package documents

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	declaredTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// declaredTests returns the names of all tests.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	declared := make(map[string]bool)
	err := filepath.WalkDir(Root(t), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped[entry.Name()]:
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, match := range declaredTest.FindAllSubmatch(source, -1) {
			declared[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return declared
}

// TestLimitsAreShownByTests holds that the tests exist that docs/limits.md names.
func TestLimitsAreShownByTests(t *testing.T) {
	declared := declaredTests(t)
	text, err := os.ReadFile(filepath.Join(Root(t), "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := namedTest.FindAllStringSubmatch(string(text), -1)
	if len(names) < 10 {
		t.Errorf("%d tests are named", len(names))
	}
	for _, name := range names {
		if !declared[name[1]] {
			t.Errorf("there is no test %s", name[1])
		}
	}
}

// TestThreatsAreShownByTests holds that each row of the threat model in SECURITY.md says what stops
// the threat, and names tests that there are.
func TestThreatsAreShownByTests(t *testing.T) {
	declared := declaredTests(t)
	text, err := os.ReadFile(filepath.Join(Root(t), "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| threat | what stops it | shown by |\n|---|---|---|\n")
	if !ok {
		t.Fatal("SECURITY.md has no table of threats")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	if len(rows) < 20 {
		t.Errorf("%d threats", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "|"), " | ")
		if len(cells) != 3 || strings.TrimSpace(cells[1]) == "" {
			t.Errorf("not a threat and what stops it: %s", row)
			continue
		}
		names := namedTest.FindAllStringSubmatch(cells[2], -1)
		if len(names) == 0 {
			t.Errorf("no test shows it: %s", row)
		}
		for _, name := range names {
			if !declared[name[1]] {
				t.Errorf("there is no test %s, which is to show: %s", name[1], cells[0])
			}
		}
	}
}
