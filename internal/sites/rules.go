package sites

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// authenticationOf returns the kind and the rule of a handler that asks who somebody is.
func authenticationOf(raw json.RawMessage) (kind, rule string) {
	var options struct {
		Providers map[string]json.RawMessage `json:"providers"`
	}
	_ = json.Unmarshal(raw, &options)
	kind = authentication
	replacer := caddy.NewReplacer()
	for _, name := range slices.Sorted(maps.Keys(options.Providers)) {
		rule += name + "\n"
		if name != "http_basic" {
			continue
		}
		kind = basicAuth
		var basic struct {
			Accounts []struct{ Username, Password string } `json:"accounts"`
		}
		_ = json.Unmarshal(options.Providers[name], &basic)
		var accounts []string
		for _, account := range basic.Accounts {
			accounts = append(accounts, fmt.Sprintf("%q %q",
				replacer.ReplaceKnown(account.Username, ""), replacer.ReplaceKnown(account.Password, "")))
		}
		slices.Sort(accounts)
		rule += strings.Join(accounts, "\n")
	}
	return kind, rule
}

// forwardAuthOf returns the rule of a proxy that asks another server who somebody is, or "" where it
// is an ordinary one.
func forwardAuthOf(raw json.RawMessage) string {
	var options struct {
		HandleResponse []json.RawMessage `json:"handle_response"`
		Upstreams      []struct {
			Dial string `json:"dial"`
		} `json:"upstreams"`
		Rewrite struct {
			URI string `json:"uri"`
		} `json:"rewrite"`
	}
	_ = json.Unmarshal(raw, &options)
	if len(options.HandleResponse) == 0 {
		return ""
	}
	return fmt.Sprint(options.Upstreams, options.Rewrite.URI)
}

// refuses reports whether a handler that answers refuses.
func refuses(raw json.RawMessage) bool {
	var answer struct {
		Name   string               `json:"handler"`
		Status caddyhttp.WeakString `json:"status_code"`
		Abort  bool                 `json:"abort"`
	}
	_ = json.Unmarshal(raw, &answer)
	return answer.Name == "error" || answer.Abort || answer.Status >= "4"
}

// certificatesOf returns what certificates clients have to show to come to the hosts of a server, or
// "" where they need none.
func certificatesOf(server *caddyhttp.Server, hosts []string) string {
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	var rules []string
	asked := false
	for _, host := range hosts {
		rule := "none"
		for _, policy := range server.TLSConnPolicies {
			var names []string
			if raw, ok := policy.MatchersRaw["sni"]; ok {
				_ = json.Unmarshal(raw, &names)
			}
			if len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return matchesHost(name, host) }) {
				continue
			}
			if a := policy.ClientAuthentication; a != nil && a.Mode != "request" && a.Mode != "verify_if_given" {
				rule, asked = string(canonical(encode(a))), true
			}
			break
		}
		rules = append(rules, rule)
	}
	if !asked {
		return ""
	}
	slices.Sort(rules)
	return strings.Join(slices.Compact(rules), "\n")
}

// canonical returns JSON in a form that is the same for the same values.
func canonical(raw json.RawMessage) json.RawMessage {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return raw
	}
	return encode(value)
}
