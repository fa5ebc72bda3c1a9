package lang

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Bound is what a value must be.
type Bound struct {
	// Type is one of the words of [Types].
	Type string
	// Min and Max bound the length of a text or of binary data, in bytes, the number of elements of an
	// array, or a number itself.
	Min, Max float64
	// Words are those of which a text must be one, with "one_of", and with which it must begin, with
	// "begins".
	Words []string
}

// types are the words with which a bound begins, and what follows each.
var types = map[string]string{
	"string": "string [<min>..<max>]", "binary": "binary [<max size>]", "number": "number [<min>..<max>]",
	"integer": "integer [<min>..<max>]", "boolean": "boolean", "object": "object", "array": "array [<min>..<max>]",
	"one_of": "one_of <word>...", "begins": "begins <text>...",
}

// Types returns the words with which a bound begins, sorted.
func Types() []string {
	var names []string
	for name := range types {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// units are what sizes are written in, the longest first.
var units = []struct {
	name string
	size float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"KB", 1e3}, {"MB", 1e6}, {"B", 1}}

// parseBound parses the words of a bound.
func parseBound(words []string) (Bound, error) {
	if len(words) == 0 {
		return Bound{}, errors.New("check has no bound: there is " + oneOf(Types()))
	}
	b := Bound{Type: words[0], Min: math.Inf(-1), Max: math.Inf(1)}
	form, known := types[b.Type]
	rest := words[1:]
	if !known {
		return Bound{}, fmt.Errorf("check knows no %q: there is %s", b.Type, oneOf(Types()))
	}
	bad := fmt.Errorf("check takes no %q: write %s", strings.Join(words, " "), form)
	switch b.Type {
	case "one_of", "begins":
		if len(rest) == 0 {
			return Bound{}, bad
		}
		b.Words = rest
		return b, nil
	case "boolean", "object":
		if len(rest) > 0 {
			return Bound{}, bad
		}
		return b, nil
	}
	if len(rest) > 1 {
		return Bound{}, bad
	}
	if len(rest) == 0 {
		return b, nil
	}
	least, most, isRange := strings.Cut(rest[0], "..")
	if !isRange {
		least, most = "", rest[0]
	}
	if b.Type != "binary" && !isRange {
		return Bound{}, bad
	}
	ok := true
	for _, end := range []struct {
		text string
		to   *float64
	}{{least, &b.Min}, {most, &b.Max}} {
		if end.text != "" {
			n, parsed := parseNumber(end.text, b.Type == "binary" || b.Type == "string")
			*end.to, ok = n, ok && parsed
		}
	}
	counts := b.Type != "number" && b.Type != "integer"
	if !ok || least == "" && most == "" || b.Min > b.Max || counts && (b.Max < 0 || b.Min < 0 && least != "") {
		return Bound{}, bad
	}
	return b, nil
}

// parseNumber parses a number, or a size such as 1MB.
func parseNumber(text string, isSize bool) (n float64, ok bool) {
	factor := 1.0
	if isSize {
		for _, unit := range units {
			if number, found := strings.CutSuffix(text, unit.name); found {
				text, factor = number, unit.size
				break
			}
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	return n * factor, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// String says what a value must be, for who has sent another one.
func (b Bound) String() string {
	bounds := func(of string) string {
		number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
		switch lower, upper := !math.IsInf(b.Min, 0), !math.IsInf(b.Max, 0); {
		case lower && upper:
			return fmt.Sprintf(" of %s to %s%s", number(b.Min), number(b.Max), of)
		case lower:
			return fmt.Sprintf(" of at least %s%s", number(b.Min), of)
		case upper:
			return fmt.Sprintf(" of at most %s%s", number(b.Max), of)
		}
		return ""
	}
	switch b.Type {
	case "string":
		return "a string" + bounds(" bytes")
	case "binary":
		return "binary" + bounds(" bytes")
	case "number":
		return "a number" + bounds("")
	case "integer":
		return "a whole number" + bounds("")
	case "boolean":
		return "true or false"
	case "object":
		return "an object"
	case "array":
		return "an array" + bounds(" elements")
	case "begins":
		return "a string that begins with " + oneOf(b.Words)
	}
	return oneOf(b.Words)
}
