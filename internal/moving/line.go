package moving

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// A line is one line of the Caddyfile, with the lines of the old setup that it takes the place of.
type line struct {
	text  string
	from  []*directive
	notes []string
	block []*line
	// open is set where the braces are written though there is nothing between them.
	open bool
}

// globalBlock is the text of the line that has no text but its braces.
const globalBlock = "{}"

// newLine returns a line of the Caddyfile, and marks those that it comes from as taken.
func newLine(text string, from ...*directive) *line {
	l := &line{text: text}
	return l.add(from...)
}

// add says of more lines that they are taken by this one.
func (l *line) add(from ...*directive) *line {
	for _, d := range from {
		if d != nil {
			l.from = append(l.from, d.take())
		}
	}
	return l
}

// note adds a sentence above the line.
func (l *line) note(format string, args ...any) *line {
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
	return l
}

// with adds lines inside of the line.
func (l *line) with(lines ...*line) *line {
	for _, inner := range lines {
		if inner != nil {
			l.block = append(l.block, inner)
		}
	}
	return l
}

// visit calls a function with all that the line and what is inside of it comes from.
func (l *line) visit(use func(*directive)) {
	for _, d := range l.from {
		use(d)
	}
	for _, inner := range l.block {
		inner.visit(use)
	}
}

// write writes the line and what is inside of it.
func (l *line) write(out *strings.Builder, depth int) {
	indent := strings.Repeat("\t", depth)
	seen := map[string]bool{}
	for _, d := range l.from {
		comment := fmt.Sprintf("%s# from %s: %s\n", indent, d.place, shown(d.text))
		if !seen[comment] {
			seen[comment] = true
			out.WriteString(comment)
		}
	}
	for _, note := range l.notes {
		out.WriteString(indent + "# " + shownWhole(note) + "\n")
	}
	switch {
	case l.text == "":
	case len(l.block) == 0 && !l.open:
		out.WriteString(indent + l.text + "\n")
		return
	case l.text == globalBlock:
		out.WriteString(indent + "{\n")
	default:
		out.WriteString(indent + l.text + " {\n")
	}
	for _, inner := range l.block {
		inner.write(out, depth+1)
	}
	if l.text != "" {
		out.WriteString(indent + "}\n")
	}
}

// shownWhole returns a sentence of this package as a comment may have it.
func shownWhole(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// bare matches what needs no quotes in a Caddyfile.
var bare = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=*^$~()|?&;!<>\[\]-]+$`)

// quoted returns a value as one token of a Caddyfile that means nothing but itself, and false where
// it cannot be written: braces are placeholders of Caddy's.
func quoted(value string) (string, bool) {
	if strings.ContainsAny(value, "{}") {
		return "", false
	}
	return quotedPlaceholders(value)
}

// quotedPlaceholders is quoted for what this package has put placeholders into.
func quotedPlaceholders(value string) (string, bool) {
	switch {
	case strings.ContainsFunc(strings.NewReplacer("\n", "", "\t", "").Replace(value), unicode.IsControl), strings.Contains(value, "{$"):
		return "", false
	case strings.HasPrefix(value, "<<"):
	case bare.MatchString(strings.NewReplacer("{", "", "}", "").Replace(value)) && value[0] != '{', onePlaceholder.MatchString(value):
		return value, true
	}
	switch {
	case !strings.ContainsAny(value, "\"\\"):
		return `"` + value + `"`, true
	case !strings.Contains(value, "`"):
		return "`" + value + "`", true
	}
	return "", false
}

// onePlaceholder matches a value that begins with a placeholder and needs no quotes.
var onePlaceholder = regexp.MustCompile(`^\{[a-z?][A-Za-z0-9_.-]*\}[A-Za-z0-9_./:{}-]*$`)
