package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// width is where lines of the report are broken, in characters.
const width = 100

// The columns of the report.
const (
	statusWidth = 9
	checkWidth  = 14
)

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes the report for people. Colour is for terminals.
func (r *Report) WriteText(w io.Writer, colour bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Socket.IO at %s\n", r.Site)
	path := "-"
	for _, f := range r.ordered() {
		if f.Path != path {
			path = f.Path
			b.WriteString("\n")
			if path != "" {
				fmt.Fprintf(&b, "%s\n", path)
			}
		}
		f.write(&b, colour)
	}
	if len(r.NotLookedAt) > 0 {
		b.WriteString("\nNot looked at\n")
		for _, text := range r.NotLookedAt {
			wrap(&b, "  ", "  ", text)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.verdict())
	_, err := io.WriteString(w, b.String())
	return err
}

// ordered puts what is about the site before what is about its paths.
func (r *Report) ordered() []Finding {
	var paths []string
	byPath := map[string][]Finding{}
	for _, f := range r.Findings {
		if _, known := byPath[f.Path]; !known && f.Path != "" {
			paths = append(paths, f.Path)
		}
		byPath[f.Path] = append(byPath[f.Path], f)
	}
	all := byPath[""]
	for _, path := range paths {
		all = append(all, byPath[path]...)
	}
	return all
}

func (r *Report) verdict() string {
	took := fmt.Sprintf("%.1f s", float64(r.Milliseconds)/1000)
	if !r.Complete {
		return "The visit ended before everything was looked at. (" + took + ")"
	}
	if r.Problems == 0 && r.Warnings == 0 {
		return "All is well. (" + took + ")"
	}
	var parts []string
	for _, part := range []struct {
		n    int
		word string
	}{{r.Problems, "problem"}, {r.Warnings, "warning"}} {
		switch {
		case part.n == 1:
			parts = append(parts, "1 "+part.word)
		case part.n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", part.n, part.word))
		}
	}
	return strings.Join(parts, ", ") + ". (" + took + ")"
}

var colours = map[Status]string{OK: "\x1b[32m", Note: "\x1b[36m", Warning: "\x1b[33m", Problem: "\x1b[1;31m"}

func (f Finding) write(b *strings.Builder, colour bool) {
	status := fmt.Sprintf("%-*s", statusWidth, f.Status)
	if colour {
		status = colours[f.Status] + status + "\x1b[0m"
	}
	summary := f.Summary
	if f.Status == Warning || f.Status == Problem {
		summary += " [" + f.Code + "]"
	}
	indent := strings.Repeat(" ", statusWidth+checkWidth)
	wrap(b, "", indent, summary, status+fmt.Sprintf("%-*s", checkWidth, f.Check))
	if f.Seen != "" {
		wrap(b, "", indent, f.Seen, strings.Repeat(" ", statusWidth)+fmt.Sprintf("%-*s", checkWidth, "  seen"))
	}
	for _, mend := range f.Mend {
		wrap(b, "", indent, mend.Where+":", strings.Repeat(" ", statusWidth)+fmt.Sprintf("%-*s", checkWidth, "  mend"))
		for _, line := range mend.Lines {
			b.WriteString(indent + "    " + strings.ReplaceAll(line, "\t", "    ") + "\n")
		}
	}
}

// wrap writes a text in lines of width. begin, if given, stands in the place of the first line's
// indent.
func wrap(b *strings.Builder, first, rest, text string, begin ...string) {
	if len(begin) > 0 {
		first = begin[0]
	}
	b.WriteString(first)
	column := len([]rune(rest))
	for i, word := range strings.Fields(text) {
		length := len([]rune(word))
		switch {
		case i == 0:
		case column+1+length > width:
			b.WriteString("\n" + rest)
			column = len([]rune(rest))
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += length
	}
	b.WriteByte('\n')
}
