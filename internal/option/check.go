package option

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// CheckPath refuses what can never be equal to a request's path.
func CheckPath(option, path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("%s %q: a path begins with a slash", option, path)
	}
	if strings.ContainsAny(path, "?#*") || strings.Contains(path, "//") {
		return fmt.Errorf("%s %q: a path is written without query, fragment, wildcard or empty segment", option, path)
	}
	return nil
}

// checkPaths refuses paths that cannot be, and one that is there twice, as far as it can be told before
// placeholders are replaced.
func checkPaths(paths []string) error {
	plain := WithoutPlaceholders(paths)
	for i, p := range plain {
		if err := CheckPath("path", p); err != nil {
			return err
		}
		if slices.Contains(plain[:i], p) {
			return fmt.Errorf("path %q is given twice", p)
		}
	}
	return nil
}

// CheckDuration refuses what is not a positive number of milliseconds: the handshake tells
// durations in milliseconds.
func CheckDuration(option string, value time.Duration) error {
	if value < time.Millisecond {
		return fmt.Errorf("%s must be at least 1ms, is %s", option, value)
	}
	return nil
}

// CheckChoice refuses what is not one of the choices.
func CheckChoice(option, value string, choices ...string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	return fmt.Errorf("unknown %s %q: write %s", option, value, OneOf(choices))
}

// CheckPrefix refuses what is no address, nor a range of them.
func CheckPrefix(expression string) error {
	if _, err := caddyhttp.CIDRExpressionToPrefix(expression); err != nil {
		return fmt.Errorf("%q is no address: write one such as 192.0.2.7 or 2001:db8::7, or a range such as 192.0.2.0/24", expression)
	}
	return nil
}

// CheckNone refuses None beside addresses, and what is no address.
func CheckNone(option string, list []string) error {
	if len(list) > 1 && slices.Contains(list, None) {
		return fmt.Errorf("%s: %s stands for no address, and so cannot be beside others: leave it out, or write it alone", option, None)
	}
	return checkPrefixes(option, list)
}

// checkPrefixes refuses what is no address, as far as it can be told before placeholders are
// replaced.
func checkPrefixes(option string, list []string) error {
	for _, expression := range WithoutPlaceholders(list) {
		if err := CheckPrefix(expression); err != nil {
			return fmt.Errorf("%s: %w", option, err)
		}
	}
	return nil
}
