package option

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Line is an option as it stands in a Caddyfile. Its errors name the place where it begins, and end
// with how it is to be written.
type Line struct {
	at         caddyfile.Dispenser
	name, form string
}

// At returns the line of the option that d stands at. form is what follows the option's name, as the
// full syntax has it, such as "<duration>".
func At(d *caddyfile.Dispenser, form string) *Line { return Named(d, d.Val(), form) }

// Named is At for an option whose name is of several words, of which d stands at the last.
func Named(d *caddyfile.Dispenser, name, form string) *Line { return &Line{*d, name, form} }

// Arguments reads from least to most arguments, none of them empty. Nothing else may follow in the
// block: an option that takes a block is read by ArgumentsBeforeBlock.
func (l *Line) Arguments(d *caddyfile.Dispenser, least, most int) ([]string, error) {
	given, err := l.ArgumentsBeforeBlock(d, least, most)
	if err != nil {
		return nil, err
	}
	return given, l.RefuseBlock(d)
}

// ArgumentsBeforeBlock reads from least to most arguments, none of them empty.
func (l *Line) ArgumentsBeforeBlock(d *caddyfile.Dispenser, least, most int) ([]string, error) {
	given := d.RemainingArgs()
	switch n := len(given); {
	case n == 0 && least > 0:
		return nil, l.Wrong("needs %s", arguments(least, "an"))
	case n < least:
		return nil, l.Wrong("needs %s and has %d", arguments(least, "an"), n)
	case n > most && most == 0:
		return nil, l.Wrong("takes no argument")
	case n > most && least == most:
		return nil, l.Wrong("takes %s and has %d", arguments(most, "one"), n)
	case n > most:
		return nil, l.Wrong("takes at most %s and has %d", arguments(most, "one"), n)
	case slices.Contains(given, ""):
		return nil, l.Wrong("has an empty argument")
	}
	return given, nil
}

// arguments writes how many arguments there are, of which one is called so.
func arguments(n int, one string) string {
	if n == 1 {
		return one + " argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

// RefuseBlock refuses a block, even an empty one, after an option that takes none.
func (l *Line) RefuseBlock(d *caddyfile.Dispenser) error {
	if HasBlock(d) {
		return l.Wrong("takes no block")
	}
	return nil
}

// HasBlock reports whether a block, even an empty one, follows the last argument of an option, at
// which d stands.
func HasBlock(d *caddyfile.Dispenser) bool {
	if d.NextLine() {
		d.Prev()
		return false
	}
	if d.Next() {
		d.Prev()
		return true
	}
	return false
}

// Wrong says what is wrong with the option, in words that follow its name, and how it is written.
func (l *Line) Wrong(format string, args ...any) error {
	write := strings.TrimSpace(l.name + " " + l.form)
	return l.at.Errf("%s %s: write %s", l.name, fmt.Sprintf(format, args...), write)
}

// Wrap adds to err, if there is one, the place where the option begins.
func (l *Line) Wrap(err error) error { return Wrap(&l.at, err) }

// Unknown refuses the option that d stands at, of a block in which there are others.
func Unknown(d *caddyfile.Dispenser, block string, options ...string) error {
	return d.Errf("unrecognized option '%s' of %s: %s", d.Val(), block, didYouMean(d.Val(), options, "there is "+OneOf(options)))
}

// OneOf lists words to choose from.
func OneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
