package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/documents"
)

// syntaxLine is a line of the full syntax: an option, and the lines of the blocks that it is in.
type syntaxLine struct {
	name, form string
	around     []string
	hasBlock   bool
}

// complete are options that are lines of their own, as they are written where a block follows.
var complete = map[string]string{
	"namespace": "namespace /x", "auth http": "auth http http://127.0.0.1:9/", "issuer": "issuer https://a.example.com", "status": "status /status", "publish": "publish /publish", "on": "on x",
}

// fullSyntax returns the lines of the full syntax in the manual.
func fullSyntax(t *testing.T) (lines []syntaxLine) {
	t.Helper()
	_, syntax, _ := strings.Cut(documents.Section(t, "Full syntax"), "```text\nsocketio_stream [<matcher>] {\n")
	syntax, _, ok := strings.Cut(syntax, "\n}\n")
	if !ok {
		t.Fatal("there is no full syntax")
	}
	var around []string
	for text := range strings.Lines(syntax) {
		words := strings.Fields(text)
		if words[0] == "}" {
			around = around[:len(around)-1]
			continue
		}
		if words[0] == "<step>" {
			continue // Steps have tests of their own.
		}
		name, rest := words[0], words[1:]
		if slices.Contains([]string{"adapter", "auth", "events", "claim"}, name) && rest[0] != "..." {
			name, rest = name+" "+rest[0], rest[1:]
		}
		line := syntaxLine{name: name, around: slices.Clone(around)}
		if line.hasBlock = len(rest) > 0 && rest[len(rest)-1] == "{"; line.hasBlock {
			rest = rest[:len(rest)-1]
			header := complete[name]
			if header == "" {
				header = name
			}
			around = append(around, header)
		}
		line.form = strings.ReplaceAll(strings.Join(rest, " "), "<max entries>", "<n>")
		lines = append(lines, line)
	}
	return lines
}

// with returns a Caddyfile that has the option with something after it, and the number of its line.
func (l syntaxLine) with(after string) (caddyfile string, line int) {
	var b strings.Builder
	b.WriteString("example.com {\nsocketio_stream {\n")
	for _, header := range l.around {
		b.WriteString(header + " {\n")
	}
	line = strings.Count(b.String(), "\n") + 1
	b.WriteString(l.name + " " + after + "\n" + strings.Repeat("}\n", len(l.around)) + "}\n}\n")
	return b.String(), line
}

// TestOptionsSayHowTheyAreWritten goes through the full syntax: an option that has too few arguments,
// too many, or a block that it takes not, is refused with its line, and with what to write.
func TestOptionsSayHowTheyAreWritten(t *testing.T) {
	seen := 0
	check := func(l syntaxLine, after, wrong string) {
		t.Helper()
		seen++
		caddyfile, line := l.with(after)
		_, err := adapt(t, caddyfile)
		want := fmt.Sprintf(", at Caddyfile:%d", line)
		// What a claim is for is an argument.
		name, _, _ := strings.Cut(strings.Replace(l.name, "claim ", "claim|", 1), "|")
		if err == nil || !strings.HasSuffix(err.Error(), want) || !strings.Contains(err.Error(), ": write "+name) || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s %s: got %v, want an error with %q and %q\nin:\n%s", l.name, after, err, wrong, want, caddyfile)
		}
	}
	for _, l := range fullSyntax(t) {
		isAny := l.form == "..."
		if l.form != "" && !strings.HasPrefix(l.form, "[") || isAny {
			check(l, "", "needs ")
		}
		if !isAny && !strings.Contains(l.form, "...") && l.name != "from" {
			check(l, "1 1 1 1 1 1 1 1", "takes ")
		}
		if !isAny && !l.hasBlock && l.name != "issuer" {
			written := l.form
			switch {
			case l.form == "":
			case l.name == "transports", l.name == "from":
			default:
				form, _, _ := strings.Cut(strings.ReplaceAll(l.form, " [", "["), " |")
				written = strings.Repeat("1 ", strings.Count(form, " ")+1)
			}
			check(l, written+" {\n1\n}", "takes no block")
		}
	}
	if seen < 100 {
		t.Errorf("only %d lines were tried", seen)
	}
}
