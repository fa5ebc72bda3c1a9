package documents

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLogsHaveEveryLine holds that the page about the log has every line that there is in the code, in
// a table whose first column is "line", and no other. A text that ends in "…" there stands for a longer
// one.
func TestLogsHaveEveryLine(t *testing.T) {
	logged, shown := make(map[string]bool), linesInTables(t, "Logs")
	eachFile(t, func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if message, ok := loggedBy(call); ok {
					logged[message] = true
				}
			}
			return true
		})
	})
	if len(logged) < 40 {
		t.Fatalf("only %d lines are found in the code: %v", len(logged), logged)
	}
	used := make(map[string]bool)
	for message := range logged {
		i := slices.IndexFunc(shown, func(line string) bool { return isLine(line, message) })
		if i < 0 {
			t.Errorf("the page about the log has no line %q", message)
			continue
		}
		used[shown[i]] = true
	}
	for _, line := range shown {
		if !used[line] {
			t.Errorf("no code logs the line %q", line)
		}
	}
}

// isLine reports whether a line of the page stands for a message.
func isLine(line, message string) bool {
	beginning, cut := strings.CutSuffix(line, "…")
	return line == message || cut && strings.HasPrefix(message, beginning)
}

// loggedBy returns the message of a call that logs one.
func loggedBy(call *ast.CallExpr) (message string, ok bool) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	place := 0
	switch f.Sel.Name {
	case "Debug", "Info", "Warn", "Error":
		ok = isLogger(f.X)
	case "Log", "LogAttrs":
		place, ok = 2, isLogger(f.X)
	case "log", "line": // of the log of refusals, and of a node of a cluster
		place, ok = 2, true
	case "warnOf": // of authenticators, for who logs it
	case "recoverPanic": // of the Engine.IO server
	default:
		return "", false
	}
	if !ok || len(call.Args) <= place {
		return "", false
	}
	message, ok = literal(call.Args[place])
	if f.Sel.Name == "recoverPanic" && !strings.HasPrefix(message, "panic ") {
		return "", false
	}
	return message, ok
}

// isLogger reports whether an expression is named like a logger.
func isLogger(expression ast.Expr) bool {
	switch e := expression.(type) {
	case *ast.Ident:
		return strings.HasSuffix(strings.ToLower(e.Name), "logger")
	case *ast.SelectorExpr:
		return strings.HasSuffix(strings.ToLower(e.Sel.Name), "logger")
	case *ast.CallExpr:
		f, ok := e.Fun.(*ast.SelectorExpr)
		return ok && (isLogger(f) || f.Sel.Name == "Current" && isLogger(f.X))
	}
	return false
}

// literal returns a text that stands in the code, in one piece or in several.
func literal(expression ast.Expr) (text string, ok bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, ok := literal(e.X)
		right, too := literal(e.Y)
		return left + right, ok && too && e.Op == token.ADD
	}
	return "", false
}

// linesInTables returns what stands as code in the first cells of the tables below a heading whose
// first column is "line".
func linesInTables(t *testing.T, heading string) (lines []string) {
	t.Helper()
	inTable := false
	for line := range strings.Lines(Section(t, heading)) {
		cells := strings.Split(line, "|")
		switch {
		case len(cells) < 3:
			inTable = false
		case strings.TrimSpace(cells[1]) == "line":
			inTable = true
		case inTable:
			for i, part := range strings.Split(cells[1], "`") {
				if i%2 == 1 {
					lines = append(lines, part)
				}
			}
		}
	}
	return lines
}

// TestUnknownOptionsAreToldWhichThereAre holds that who writes an option that there is not is told
// every one that there is: those that the same function tells apart.
func TestUnknownOptionsAreToldWhichThereAre(t *testing.T) {
	seen := 0
	eachFile(t, func(file *ast.File) {
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || !strings.Contains(f.Name.Name, "nmarshal") {
				continue
			}
			var cases, told []string
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CaseClause:
					cases = append(cases, literals(n.List)...)
				case *ast.CallExpr:
					if name, ok := n.Fun.(*ast.SelectorExpr); ok && name.Sel.Name == "Unknown" && len(n.Args) > 2 {
						told = append(told, literals(n.Args[2:])...)
					}
				}
				return true
			})
			if told == nil {
				continue
			}
			seen++
			// What belongs elsewhere has an answer of its own, and one option needs no case.
			cases = slices.DeleteFunc(cases, func(name string) bool { return name == "events" && !slices.Contains(told, name) })
			slices.Sort(cases)
			slices.Sort(told)
			if len(told) > 1 && !slices.Equal(cases, told) {
				t.Errorf("%s.%s takes %q, and tells of %q", file.Name.Name, f.Name.Name, cases, told)
			}
		}
	})
	if seen < 8 {
		t.Errorf("only %d functions tell which options there are", seen)
	}
}

// literals returns those of some expressions that are texts.
func literals(expressions []ast.Expr) (texts []string) {
	for _, expression := range expressions {
		if text, ok := literal(expression); ok {
			texts = append(texts, text)
		}
	}
	return texts
}
