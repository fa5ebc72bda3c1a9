package moving

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// update writes the results into the golden files, to be read before they are kept.
var update = flag.Bool("update", false, "rewrite the golden files")

// The files of a setup in testdata that are results.
const (
	goldenCaddyfile = "Caddyfile.golden"
	goldenLeft      = "left.golden"
)

// corpus calls a function with each setup of testdata: its folder, and the files that are named.
func corpus(t testing.TB, visit func(folder string, names []string)) {
	t.Helper()
	folders, err := filepath.Glob("testdata/*/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("there are no setups: %v", err)
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		var names []string
		for _, entry := range entries {
			if entry.Type().IsRegular() && !strings.HasSuffix(entry.Name(), ".golden") {
				names = append(names, filepath.Join(folder, entry.Name()))
			}
		}
		if len(names) > 0 && !strings.HasPrefix(filepath.ToSlash(folder), "testdata/fuzz/") {
			visit(folder, names)
		}
	}
}

// TestSetupsBecomeCaddyfiles holds what becomes of each setup of the corpus, to the letter.
func TestSetupsBecomeCaddyfiles(t *testing.T) {
	corpus(t, func(folder string, names []string) {
		t.Run(strings.TrimPrefix(filepath.ToSlash(folder), "testdata/"), func(t *testing.T) {
			o := Options{}
			if strings.Contains(folder, "-behind") {
				o.Behind = UsualBehind
			}
			result, err := Migrate(names, o)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join(folder, goldenCaddyfile), result.Caddyfile)
			compare(t, filepath.Join(folder, goldenLeft), strings.Join(append(result.Left, ""), "\n"))
		})
	})
}

// compare holds a text against a golden file.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", file, got)
	}
}
