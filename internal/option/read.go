// Package option reads the options of a Caddyfile block, checks values, and replaces the
// placeholders in them. It is for the handler and for guest modules alike, so that an option of one
// kind is written and refused in the same way everywhere.
package option

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// None stands for no value in a list that would otherwise have its default.
const None = "none"

// Given are the options that a block has had so far.
type Given map[string]bool

// Add notes the option that d stands at, and refuses one that was there before.
func (g Given) Add(d *caddyfile.Dispenser) error {
	if g[d.Val()] {
		return d.Errf("option '%s' is given twice: write it once", d.Val())
	}
	g[d.Val()] = true
	return nil
}

// Each calls use at each option of a block, and refuses one that is given twice, unless it is
// repeatable.
func Each(d *caddyfile.Dispenser, use func(name string) error, repeatable ...string) error {
	given := make(Given)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if !slices.Contains(repeatable, name) {
			if err := given.Add(d); err != nil {
				return err
			}
		}
		if err := use(name); err != nil {
			return err
		}
	}
	return nil
}

// Many is as many arguments as one likes.
const Many = math.MaxInt

// Nothing refuses arguments, and a block, after an option that is complete without. d stands at the
// last word of its name.
func Nothing(d *caddyfile.Dispenser, name string) error {
	_, err := Named(d, name, "").Arguments(d, 0, 0)
	return err
}

// BlockOnly refuses arguments of an option that takes a block alone. d stands at the last word of its
// name.
func BlockOnly(d *caddyfile.Dispenser, name string) error {
	_, err := Named(d, name, "{ ... }").ArgumentsBeforeBlock(d, 0, 0)
	return err
}

// Text parses the one argument of an option, which form stands for in errors.
func Text(d *caddyfile.Dispenser, form string) (string, error) {
	given, err := At(d, form).Arguments(d, 1, 1)
	if err != nil {
		return "", err
	}
	return given[0], nil
}

// Texts parses one or more arguments of an option, which form stands for in errors.
func Texts(d *caddyfile.Dispenser, form string) ([]string, error) {
	return At(d, form).Arguments(d, 1, Many)
}

// Checked parses one or more arguments, each of which is checked and may be given once.
func Checked(d *caddyfile.Dispenser, form string, check func(string) error) ([]string, error) {
	option := d.Val()
	list, err := Texts(d, form)
	if err != nil {
		return nil, err
	}
	for _, value := range WithoutPlaceholders(list) {
		if err := check(value); err != nil {
			return nil, d.WrapErr(err)
		}
	}
	for i, value := range list {
		if slices.Contains(list[:i], value) {
			return nil, d.Errf("%s: %q is given twice", option, strings.TrimSpace(value))
		}
	}
	return list, nil
}

// Choice parses an argument that is one of a few words.
func Choice(d *caddyfile.Dispenser, choices ...string) (string, error) {
	option := d.Val()
	text, err := Text(d, strings.Join(choices, "|"))
	if err != nil {
		return "", err
	}
	return text, Wrap(d, CheckChoice(option, text, choices...))
}

// Switch parses on or off.
func Switch(d *caddyfile.Dispenser) (*bool, error) {
	text, err := Choice(d, "on", "off")
	if err != nil {
		return nil, err
	}
	on := text == "on"
	return &on, nil
}

// SwitchedOn parses on or off, where on need not be written.
func SwitchedOn(d *caddyfile.Dispenser) (on bool, err error) {
	option := d.Val()
	given, err := At(d, "[on|off]").Arguments(d, 0, 1)
	if err != nil || len(given) == 0 {
		return err == nil, err
	}
	return given[0] == "on", Wrap(d, CheckChoice(option, given[0], "on", "off"))
}

// Duration parses a duration of at least a millisecond.
func Duration(d *caddyfile.Dispenser) (caddy.Duration, error) {
	option := d.Val()
	text, err := Text(d, "<duration>")
	if err != nil {
		return 0, err
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil {
		return 0, d.Errf("%s: bad duration %q, write one such as 25s", option, text)
	}
	return caddy.Duration(duration), Wrap(d, CheckDuration(option, duration))
}

// Timeout parses a duration, of which zero is one.
func Timeout(d *caddyfile.Dispenser) (*caddy.Duration, error) {
	option := d.Val()
	text, err := Text(d, "<duration>")
	if err != nil {
		return nil, err
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil || duration < 0 {
		return nil, d.Errf("%s: bad duration %q, write one such as 10m, or 0", option, text)
	}
	timeout := caddy.Duration(duration)
	return &timeout, nil
}

// Size parses a number of bytes, such as 1MB (10^6) or 1MiB (2^20), that is at least smallest.
func Size(d *caddyfile.Dispenser, smallest uint64) (int64, error) {
	option := d.Val()
	text, err := Text(d, "<size>")
	if err != nil {
		return 0, err
	}
	size, err := ParseSize(option, text, smallest)
	return size, Wrap(d, err)
}

// ParseSize parses a number of bytes that is at least smallest. name is what it is of, for errors.
func ParseSize(name, text string, smallest uint64) (int64, error) {
	size, err := humanize.ParseBytes(text)
	if err != nil || size > math.MaxInt64 {
		return 0, fmt.Errorf("%s: bad size %q, write one such as 1MB", name, text)
	}
	if size < smallest {
		return 0, fmt.Errorf("%s must be at least %s, is %q", name, humanize.Bytes(smallest), text)
	}
	return int64(size), nil
}

// Count parses a whole number of at least one.
func Count(d *caddyfile.Dispenser) (int, error) {
	option := d.Val()
	text, err := Text(d, "<n>")
	if err != nil {
		return 0, err
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 {
		return 0, d.Errf("%s must be a whole number greater than zero, is %q", option, text)
	}
	return count, nil
}

// CountOrOff parses a whole number of at least one, or off, which is zero.
func CountOrOff(d *caddyfile.Dispenser) (*int, error) {
	option := d.Val()
	text, err := Text(d, "<n>|off")
	if err != nil {
		return nil, err
	}
	if text == "off" {
		return new(int), nil
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 || count > math.MaxInt32 {
		return nil, d.Errf("%s must be a whole number greater than zero, or off, is %q", option, text)
	}
	return &count, nil
}

// CountUpTo parses a whole number of at least one, and at most most.
func CountUpTo(d *caddyfile.Dispenser, most int) (*int, error) {
	option := d.Val()
	count, err := Count(d)
	if err == nil && count > most {
		err = d.Errf("%s must be at most %d, is %d", option, most, count)
	}
	return &count, err
}

// Paths parses one or more paths.
func Paths(d *caddyfile.Dispenser) ([]string, error) {
	paths, err := At(d, "<path...>").Arguments(d, 1, Many)
	if err != nil {
		return nil, err
	}
	return paths, Wrap(d, checkPaths(paths))
}

// PathsBeforeBlock parses one or more paths that a block may follow.
func PathsBeforeBlock(d *caddyfile.Dispenser) ([]string, error) {
	paths, err := At(d, "<path...> { ... }").ArgumentsBeforeBlock(d, 1, Many)
	if err != nil {
		return nil, err
	}
	return paths, Wrap(d, checkPaths(paths))
}

// List parses one or more arguments, each of which may hold several values, separated by commas or
// white space. form stands for them in errors.
func List(d *caddyfile.Dispenser, form string) ([]string, error) {
	line := At(d, form)
	given, err := line.Arguments(d, 1, Many)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, argument := range given {
		list = append(list, SplitList(argument)...)
	}
	if len(list) == 0 {
		return nil, line.Wrong("has an empty argument")
	}
	return list, nil
}

// Prefixes parses client addresses, each a CIDR or a single address, or None by itself.
func Prefixes(d *caddyfile.Dispenser) ([]string, error) {
	option := d.Val()
	list, err := List(d, "<cidr...>|none")
	if err != nil || slices.Equal(list, []string{None}) {
		return list, err
	}
	return list, Wrap(d, CheckNone(option, list))
}

// ParseRate parses an amount per time, such as 100/s or 300/1m. parse parses the amount.
func ParseRate(
	text string, parse func(string) (int64, error),
) (amount int64, per time.Duration, err error) {
	number, period, ok := strings.Cut(text, "/")
	if !ok {
		return 0, 0, strconv.ErrSyntax
	}
	if amount, err = parse(number); err != nil {
		return 0, 0, err
	}
	if period != "" && (period[0] < '0' || period[0] > '9') {
		period = "1" + period
	}
	per, err = caddy.ParseDuration(period)
	return amount, per, err
}

// Whole parses a whole number that fits into 32 bits.
func Whole(text string) (int64, error) { return strconv.ParseInt(text, 10, 32) }

// Bytes parses a number of bytes that can be doubled.
func Bytes(text string) (int64, error) {
	size, err := humanize.ParseBytes(text)
	if err == nil && size > math.MaxInt64/2 {
		err = strconv.ErrRange
	}
	return int64(size), err //nolint:gosec // checked above
}

// WithoutPlaceholders returns the values that can be checked before placeholders are replaced.
func WithoutPlaceholders(values []string) []string {
	var plain []string
	for _, value := range values {
		if !strings.Contains(value, "{") {
			plain = append(plain, value)
		}
	}
	return plain
}

// Wrap adds file and line to err, if there is one.
func Wrap(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}
