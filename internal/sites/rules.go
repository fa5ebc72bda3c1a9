package sites

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// authentication adds the guard that a handler is which asks who somebody is.
func (w *walk) authentication(raw json.RawMessage, where condition) {
	var options struct {
		Providers map[string]json.RawMessage `json:"providers"`
	}
	_ = json.Unmarshal(raw, &options)
	names := slices.Sorted(maps.Keys(options.Providers))
	if accounts, ok := options.Providers["http_basic"]; ok && len(names) == 1 {
		w.add(where, basicAuth, accountsOf(accounts), true)
		return
	}
	// Of other providers it is not known what of their options is about who comes in.
	w.add(where, authentication, strings.Join(names, "\n"), true)
	w.add(where, authentication, string(canonical(raw)), false)
}

// accountsOf returns the accounts of basic_auth, in a form that is the same for the same ones.
func accountsOf(raw json.RawMessage) string {
	var basic struct {
		Hash     json.RawMessage                       `json:"hash"`
		Accounts []struct{ Username, Password string } `json:"accounts"`
	}
	_ = json.Unmarshal(raw, &basic)
	replacer := caddy.NewReplacer()
	var accounts []string
	for _, account := range basic.Accounts {
		accounts = append(accounts, fmt.Sprintf("%q %q",
			replacer.ReplaceKnown(account.Username, ""), replacer.ReplaceKnown(account.Password, "")))
	}
	slices.Sort(accounts)
	return string(canonical(basic.Hash)) + strings.Join(accounts, "\n")
}

// forwardAuth adds the guard that a proxy is which asks another server who somebody is. Whom it
// asks is sure to matter; of what else it does that is not known.
func (w *walk) forwardAuth(raw json.RawMessage, where condition) {
	var options struct {
		Upstreams []struct {
			Dial string `json:"dial"`
		} `json:"upstreams"`
		Dynamic json.RawMessage `json:"dynamic_upstreams"`
		Rewrite struct {
			URI string `json:"uri"`
		} `json:"rewrite"`
	}
	_ = json.Unmarshal(raw, &options)
	w.add(where, forwardAuth, fmt.Sprint(options.Upstreams, string(canonical(options.Dynamic)), options.Rewrite.URI), true)
	w.add(where, forwardAuth, string(canonical(raw)), false)
}

// certificatesOf returns what certificates clients have to show to come to the hosts of a server,
// or "" where they need none. sure is false where that depends on more than the hosts.
func certificatesOf(s *server, hosts []string) (rule string, sure bool) {
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	var rules []string
	asked := false
	sure = true
	for _, host := range hosts {
		text := ""
		for _, policy := range s.Policies {
			names, others := policy.matchers()
			if names != nil && !slices.ContainsFunc(names, func(name string) bool { _, some := common(name, host); return some }) {
				continue
			}
			if demand := policy.demand(); demand != "" {
				text, asked, sure = text+others+demand, true, sure && others == ""
			}
			if others == "" {
				break
			}
		}
		rules = append(rules, text)
	}
	if !asked {
		return "", false
	}
	return strings.Join(union(rules, nil), "\n"), sure
}

// matchers returns the names that a policy is for, or nil for all, and what else it asks.
func (p *tlsPolicy) matchers() (names []string, others string) {
	rest := maps.Clone(p.Match)
	if raw, ok := rest["sni"]; ok {
		_ = json.Unmarshal(raw, &names)
		for i, name := range names {
			names[i] = plain(name)
		}
		delete(rest, "sni")
	}
	if len(rest) > 0 {
		others = string(canonical(encode(rest)))
	}
	return names, others
}

// mode returns in which way a policy asks for certificates, or "".
func (p *tlsPolicy) mode() string {
	var options struct {
		Mode string `json:"mode"`
	}
	_ = json.Unmarshal(p.ClientAuthentication, &options)
	return options.Mode
}

// demand returns what certificates a policy demands, or "".
func (p *tlsPolicy) demand() string {
	text := string(canonical(p.ClientAuthentication))
	if p.mode() == "request" || p.mode() == "verify_if_given" || slices.Contains([]string{"", "null", "{}"}, text) {
		return ""
	}
	return text
}
