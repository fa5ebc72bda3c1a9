package integration

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-socketio/socketio-stream"
)

// update writes what adapting yields into the golden files, to be read before it is kept.
var update = flag.Bool("update", false, "rewrite the expected part of the golden files")

// separator parts a golden file: above it a Caddyfile, below it the JSON or the error that adapting
// it yields.
const separator = "----------"

// caddyAdapter returns Caddy's adapter for Caddyfiles.
func caddyAdapter() caddyconfig.Adapter { return caddyconfig.GetAdapter("caddyfile") }

// adapt adapts a Caddyfile, and returns its indented JSON or the error's text.
func adapt(t *testing.T, input string) (string, error) {
	t.Helper()
	result, warnings, err := caddyAdapter().Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	for _, warning := range warnings {
		t.Errorf("warning: %s", warning)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, result, "", "\t"); err != nil {
		t.Fatalf("indenting: %v", err)
	}
	return indented.String(), nil
}

func TestAdaptGoldenFiles(t *testing.T) {
	// Values that golden files read through {$NAME}.
	t.Setenv("TEST_CORS_ORIGIN_COMMAS", "https://a.example.com,https://b.example.com")
	t.Setenv("TEST_CORS_ORIGIN_MIXED", "https://a.example.com, https://b.example.com https://c.example.com")

	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, expected, ok := strings.Cut(string(content), separator)
			if !ok {
				t.Fatalf("%s has no line %s", file, separator)
			}
			input, expected = strings.TrimSpace(input)+"\n", strings.TrimSpace(expected)

			got, err := adapt(t, input)
			if err != nil {
				got = err.Error()
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+separator+"\n"+got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if strings.HasPrefix(expected, "{") != (err == nil) {
				t.Fatalf("expected:\n%s\ngot:\n%s", expected, got)
			}
			if got != expected {
				t.Errorf("expected:\n%s\ngot:\n%s", expected, got)
			}
		})
	}
}

// TestGoldenErrorsNameFileAndLine holds that every refusal tells where.
func TestGoldenErrorsNameFileAndLine(t *testing.T) {
	files, err := filepath.Glob("testdata/error_*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, expected, _ := strings.Cut(string(content), separator)
		if !strings.Contains(expected, "Caddyfile:") {
			t.Errorf("%s: the error names no file and line: %s", file, strings.TrimSpace(expected))
		}
	}
}

func TestExampleCaddyfileAdapts(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := adapt(t, string(example)); err != nil {
		t.Error(err)
	}
}
