package option

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Resolver replaces placeholders and keeps the first error, so that a list of options reads as a
// list.
type Resolver struct {
	replacer *caddy.Replacer
	err      error
}

// NewResolver returns a Resolver of the placeholders that are known when a config is loaded, such
// as {env.NAME}.
func NewResolver() *Resolver { return &Resolver{replacer: caddy.NewReplacer()} }

// Err returns the first error there was, which names its option, or nil.
func (r *Resolver) Err() error { return r.err }

// One returns value with its placeholders replaced.
func (r *Resolver) One(option, value string) string {
	replaced, err := r.replacer.ReplaceOrErr(value, true, true)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", option, err)
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

// SplitList splits a list at commas and white space, which is how such lists come in environment
// variables.
func SplitList(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
	})
}
