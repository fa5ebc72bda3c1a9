package option

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
)

// Resolver makes what a config says of options into what they are: it replaces placeholders, fills
// in defaults and checks bounds, in place. It keeps the first error, so that a list of options
// reads as a list. Its methods take the option's name, for errors.
type Resolver struct {
	replacer *caddy.Replacer
	err      error
}

// NewResolver returns a Resolver of the placeholders that are known when a config is loaded, such
// as {env.NAME}.
func NewResolver() *Resolver { return &Resolver{replacer: caddy.NewReplacer()} }

// Err returns the first error there was, which names its option, or nil.
func (r *Resolver) Err() error { return r.err }

// Check keeps err, unless there was an error before.
func (r *Resolver) Check(err error) {
	if r.err == nil {
		r.err = err
	}
}

// One returns value with its placeholders replaced.
func (r *Resolver) One(option, value string) string {
	replaced, err := r.replacer.ReplaceOrErr(value, true, true)
	if err != nil {
		r.Check(fmt.Errorf("%s: %w", option, err))
	}
	return replaced
}

// All returns values with their placeholders replaced; one placeholder may stand for several
// values.
func (r *Resolver) All(option string, values []string) []string {
	var replaced []string
	for _, value := range values {
		replaced = append(replaced, SplitList(r.One(option, value))...)
	}
	return replaced
}

// Text resolves a text, which is fallback where it is empty.
func (r *Resolver) Text(option string, text *string, fallback string) {
	*text = cmp.Or(r.One(option, *text), fallback)
}

// Texts resolves a list of texts, which is fallback where it is empty.
func (r *Resolver) Texts(option string, list *[]string, fallback ...string) {
	if len(*list) == 0 {
		*list = slices.Clone(fallback)
		return
	}
	*list = r.All(option, *list)
}

// Choice resolves a text that is one of a few words.
func (r *Resolver) Choice(option string, text *string, fallback string, choices ...string) {
	r.Text(option, text, fallback)
	r.Check(CheckChoice(option, *text, choices...))
}

// Switch fills in what is on or off.
func (r *Resolver) Switch(on **bool, fallback bool) {
	if *on == nil {
		*on = &fallback
	}
}

// Duration resolves a duration of at least a millisecond.
func (r *Resolver) Duration(option string, duration *caddy.Duration, fallback time.Duration) {
	*duration = cmp.Or(*duration, caddy.Duration(fallback))
	r.Check(CheckDuration(option, time.Duration(*duration)))
}

// Size resolves a number of bytes, which is at least smallest.
func (r *Resolver) Size(option string, size *int64, fallback, smallest int64) {
	*size = cmp.Or(*size, fallback)
	if *size < smallest {
		least := humanize.Bytes(uint64(smallest)) //nolint:gosec // a constant that is not negative
		r.Check(fmt.Errorf("%s must be at least %s, is %d bytes", option, least, *size))
	}
}

// Number resolves a number from least to most, which is fallback where there is none.
func (r *Resolver) Number(option string, number **int, fallback, least, most int) {
	if *number == nil {
		*number = &fallback
	}
	if n := **number; n < least || n > most {
		r.Check(fmt.Errorf("%s must be from %d to %d, is %d", option, least, most, n))
	}
}

// Prefixes resolves a list of client addresses, each a CIDR or a single address, or None by itself, and returns
// them.
func (r *Resolver) Prefixes(option string, list *[]string, fallback ...string) []netip.Prefix {
	r.Texts(option, list, fallback...)
	if slices.Equal(*list, []string{None}) {
		return nil
	}
	r.Check(CheckNone(option, *list))
	return r.prefixes(option, *list)
}

// prefixes parses the list, in which each is then written in one way.
func (r *Resolver) prefixes(option string, list []string) []netip.Prefix {
	prefixes := make([]netip.Prefix, len(list))
	for i, expression := range list {
		if err := CheckPrefix(expression); err != nil {
			r.Check(fmt.Errorf("%s: %w", option, err))
			return nil
		}
		prefix, _ := caddyhttp.CIDRExpressionToPrefix(expression)
		prefixes[i] = prefix.Masked()
		list[i] = prefixes[i].String()
	}
	return prefixes
}

// SplitList splits a list at commas and white space, which is how such lists come in environment
// variables.
func SplitList(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
	})
}
