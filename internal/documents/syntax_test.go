package documents

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// firstWord is what a line of the syntax begins with.
var firstWord = regexp.MustCompile(`(?m)^(\t+)([a-z_0-9]+)`)

// TestSyntaxHasEveryOption holds that the full syntax has every option that is read from a
// Caddyfile, and no other, and that the table of defaults has those of the directive itself.
func TestSyntaxHasEveryOption(t *testing.T) {
	section := Section(t, "Full syntax")
	_, syntax, _ := strings.Cut(section, "```text\n")
	syntax, _, _ = strings.Cut(syntax, "```")
	words := make(map[string]bool)
	for _, word := range regexp.MustCompile(`[a-z_0-9]+`).FindAllString(syntax, -1) {
		words[word] = true
	}
	taken := make(map[string]bool)
	for name := range options(t) {
		taken[name] = true
		if !words[name] {
			t.Errorf("the full syntax has no %s", name)
		}
	}
	defaults := Section(t, "Defaults and bounds")
	for _, match := range firstWord.FindAllStringSubmatch(syntax, -1) {
		if !taken[match[2]] {
			t.Errorf("no option %s is read from a Caddyfile", match[2])
		}
		if match[1] == "\t" && match[2] != "namespace" && !strings.Contains(defaults, "`"+match[2]+"`") {
			t.Errorf("the table of defaults has no %s", match[2])
		}
	}
}

// options returns the words that the functions for a Caddyfile tell apart.
func options(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	eachFile(t, func(file *ast.File) {
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || !strings.Contains(f.Name.Name, "nmarshal") {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if clause, ok := n.(*ast.CaseClause); ok {
					for _, value := range clause.List {
						if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
							name, err := strconv.Unquote(literal.Value)
							if err != nil {
								t.Fatal(err)
							}
							found[name] = true
						}
					}
				}
				return true
			})
		}
	})
	return found
}

// TestPagesHaveEveryCode holds that a reader finds every code with which a client can be refused.
func TestPagesHaveEveryCode(t *testing.T) {
	shown := make(map[string]bool)
	for _, page := range Manual(t) {
		for _, span := range page.Spans {
			shown[span.Text] = true
		}
	}
	seen := 0
	isCode, isText := regexp.MustCompile(`^[cC]ode[A-Z]`), regexp.MustCompile(`^"[a-z_]+"$`)
	eachFile(t, func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !isCode.MatchString(spec.Names[0].Name) {
				return true
			}
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok || !isText.MatchString(literal.Value) {
				return true
			}
			seen++
			if code := strings.Trim(literal.Value, `"`); !shown[code] {
				t.Errorf("no page has the code %s", code)
			}
			return true
		})
	})
	if seen == 0 {
		t.Error("there is no code")
	}
}
