package socketiostream

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// options are the options a block has had so far.
type options map[string]bool

// add notes the option d stands at, and refuses one that was there before.
func (o options) add(d *caddyfile.Dispenser) error {
	if o[d.Val()] {
		return d.Errf("option '%s' is given twice", d.Val())
	}
	o[d.Val()] = true
	return nil
}

// eachOption calls use at each option of a block, and refuses one that is given twice.
func eachOption(d *caddyfile.Dispenser, use func(option string) error) error {
	given := make(options)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := given.add(d); err != nil {
			return err
		}
		if err := use(d.Val()); err != nil {
			return err
		}
	}
	return nil
}

// refuseBlock refuses a block, even an empty one, after an option that takes none.
func refuseBlock(d *caddyfile.Dispenser) error {
	if d.NextLine() {
		d.Prev()
		return nil
	}
	if d.Next() {
		return d.Err("unexpected block: this option takes none")
	}
	return nil
}

// parseText parses the one argument of an option.
func parseText(d *caddyfile.Dispenser) (string, error) {
	var text string
	if !d.AllArgs(&text) || text == "" {
		return "", d.ArgErr()
	}
	return text, refuseBlock(d)
}

// parseChoice parses an argument that is one of a few words.
func parseChoice(d *caddyfile.Dispenser, choices ...string) (string, error) {
	option := d.Val()
	text, err := parseText(d)
	if err != nil {
		return "", err
	}
	return text, wrap(d, checkChoice(option, text, choices...))
}

// parseSwitch parses on or off.
func parseSwitch(d *caddyfile.Dispenser) (*bool, error) {
	text, err := parseChoice(d, "on", "off")
	if err != nil {
		return nil, err
	}
	on := text == "on"
	return &on, nil
}

// parseDuration parses a duration of at least a millisecond.
func parseDuration(d *caddyfile.Dispenser) (caddy.Duration, error) {
	option := d.Val()
	text, err := parseText(d)
	if err != nil {
		return 0, err
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil {
		return 0, d.Errf("%s: bad duration %q, write one such as 25s", option, text)
	}
	return caddy.Duration(duration), wrap(d, checkDuration(option, duration))
}

// parseSize parses a number of bytes, such as 1MB (10^6) or 1MiB (2^20), that is at least smallest.
func parseSize(d *caddyfile.Dispenser, smallest uint64) (int64, error) {
	return parseNamedSize(d, d.Val(), smallest)
}

// parseNamedSize is parseSize for the last argument of an option.
func parseNamedSize(d *caddyfile.Dispenser, option string, smallest uint64) (int64, error) {
	text, err := parseText(d)
	if err != nil {
		return 0, err
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size > math.MaxInt64 {
		return 0, d.Errf("%s: bad size %q, write one such as 1MB", option, text)
	}
	if size < smallest {
		return 0, d.Errf("%s must be at least %s, is %q", option, humanize.Bytes(smallest), text)
	}
	return int64(size), nil
}

// parseCompression parses the size from which on something is compressed, which may be left out.
func parseCompression(d *caddyfile.Dispenser) (*Compression, error) {
	if d.CountRemainingArgs() == 0 {
		return new(Compression), refuseBlock(d)
	}
	threshold, err := parseSize(d, 1)
	if err != nil {
		return nil, err
	}
	return &Compression{Threshold: threshold}, nil
}

// parseCount parses a whole number of at least one.
func parseCount(d *caddyfile.Dispenser) (int, error) {
	option := d.Val()
	text, err := parseText(d)
	if err != nil {
		return 0, err
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 {
		return 0, d.Errf("%s must be a whole number greater than zero, is %q", option, text)
	}
	return count, nil
}

// parsePaths parses one or more paths.
func parsePaths(d *caddyfile.Dispenser) ([]string, error) {
	paths := d.RemainingArgs()
	if err := checkPaths(d, paths); err != nil {
		return nil, err
	}
	return paths, refuseBlock(d)
}

func checkPaths(d *caddyfile.Dispenser, paths []string) error {
	if len(paths) == 0 {
		return d.ArgErr()
	}
	plain := withoutPlaceholders(paths)
	for i, p := range plain {
		if err := checkPath("path", p); err != nil {
			return d.WrapErr(err)
		}
		if slices.Contains(plain[:i], p) {
			return d.Errf("path %q is given twice", p)
		}
	}
	return nil
}

func parseTransports(d *caddyfile.Dispenser) ([]string, error) {
	transports := d.RemainingArgs()
	if len(transports) == 0 {
		return nil, d.ArgErr()
	}
	checked := settings{transports: transports}
	if err := checked.checkTransports(); err != nil {
		return nil, d.WrapErr(err)
	}
	return transports, refuseBlock(d)
}

// withoutPlaceholders returns the values that can be checked before placeholders are replaced.
func withoutPlaceholders(values []string) []string {
	var plain []string
	for _, value := range values {
		if !strings.Contains(value, "{") {
			plain = append(plain, value)
		}
	}
	return plain
}

// wrap adds file and line to err, if there is one.
func wrap(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}
