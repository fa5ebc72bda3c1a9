package logline

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text makes a client's text fit for a log line: at most so many bytes of it,
// and an ellipsis if it was cut, with what is not printable escaped as in a Go
// string. Terminals and log viewers act on control characters, and on those
// that change the direction of text.
func Text(text string, most int) string {
	cut := len(text) > most
	if cut {
		for most > 0 && !utf8.RuneStart(text[most]) {
			most--
		}
		text = text[:most]
	}
	if strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) >= 0 || !utf8.ValidString(text) {
		text = strconv.Quote(text)
		text = text[1 : len(text)-1]
	}
	if cut {
		text += "…"
	}
	return text
}
