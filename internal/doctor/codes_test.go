package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/documents"
)

// A code is a promise to scripts: what the source has, the list of the manual has as well, and the
// other way round.
func TestCodesAreDocumented(t *testing.T) {
	documented := codesIn(documents.Section(t, "Codes"), "`([a-z0-9]+(?:-[a-z0-9]+)+)`")
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	noCodes := []string{"caddy-socketio-doctor", "permessage-deflate", "x-requested-with", "http-port"}
	used := map[string]bool{}
	for _, kind := range []string{"websocket", "poll"} { // these are put together
		for _, end := range []string{"-held", "-closed", "-idle-cut"} {
			used[kind+end] = true
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for code := range codesIn(string(content), `"([a-z0-9]+(?:-[a-z0-9]+)+)"`) {
			used[code] = true
		}
	}
	for _, text := range noCodes {
		delete(used, text)
	}
	for code := range used {
		if !documented[code] {
			t.Errorf("%s is not in the manual", code)
		}
	}
	for code := range documented {
		if !used[code] {
			t.Errorf("%s is in the manual, and no finding has it", code)
		}
	}
}

func codesIn(text, pattern string) map[string]bool {
	codes := map[string]bool{}
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		codes[match[1]] = true
	}
	return codes
}
