package option

import (
	"fmt"
	"slices"
	"strings"
	"time"
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
	return fmt.Errorf("unknown %s %q: write %s", option, value, strings.Join(choices, " or "))
}
