package doctor

import (
	"net/http"
	"testing"
)

const app = "https://app.example.com"

// sharing answers CORS as these functions say: get for simple requests, preflight for the others.
func sharing(get, preflight func(http.Header, *http.Request)) wrapper {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodOptions {
				preflight(w.Header(), r)
				w.WriteHeader(http.StatusNoContent)
				return
			}
			get(w.Header(), r)
			next.ServeHTTP(w, r)
		})
	}
}

// fields makes a function that sets headers; "$" stands for the request's origin.
func fields(pairs ...string) func(http.Header, *http.Request) {
	return func(header http.Header, r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			value := pairs[i+1]
			if value == "$" {
				value = r.Header.Get("Origin")
			}
			header.Add(pairs[i], value)
		}
	}
}

const (
	allowOrigin      = "Access-Control-Allow-Origin"
	allowCredentials = "Access-Control-Allow-Credentials"
	allowHeaders     = "Access-Control-Allow-Headers"
)

func TestOrigins(t *testing.T) {
	named := fields(allowOrigin, app, allowCredentials, "true", "Vary", "Accept, Origin")
	preflight := fields(allowOrigin, app, allowHeaders, "content-type, X-Requested-With")
	refuse := answering(http.StatusForbidden, "application/json", `{"code":4,"message":"Forbidden"}`)
	hasOrigin := func(r *http.Request) bool { return r.Header.Get("Origin") != "" }
	for _, test := range []struct {
		name   string
		origin string
		wrap   wrapper
		want   expected
	}{
		{"allowed by name", app, sharing(named, preflight), expected{"origin-allowed", OK, "with cookies", "", ""}},
		{"allowed for all", app, sharing(fields(allowOrigin, "*"), fields(allowOrigin, "*", allowHeaders, "*")),
			expected{"origin-allowed", OK, "without cookies", "", ""}},
		{"refused by this plugin", app, from("Server: Caddy", instead(hasOrigin, refuse)),
			expected{"origin-refused", Problem, "does not allow that origin", "with Origin: " + app, "\torigins " + app}},
		{"refused by Node", app, from("X-Powered-By: Express", instead(hasOrigin, refuse)),
			expected{"origin-refused", Problem, "does not allow that origin", "403", `new Server(httpServer, { cors: { origin: ["` + app + `"] } })`}},
		{"the site's own refused, behind nginx", "", from("Server: nginx", instead(hasOrigin, refuse)),
			expected{"own-origin-refused", Problem, "header Host", "403", "proxy_set_header Host $http_host;"}},
		{"the site's own refused, behind Apache", "", from("Server: Apache", instead(hasOrigin, refuse)),
			expected{"own-origin-refused", Problem, "header Host", "403", "ProxyPreserveHost On"}},
		{"no header", app, nil, expected{"cors-no-header", Problem, "lacks Access-Control-Allow-Origin", "with Origin", "\torigins " + app}},
		{"two headers", app, from("Server: nginx", sharing(fields(allowOrigin, app, allowOrigin, "*"), preflight)),
			expected{"cors-duplicate-header", Problem, "twice", "with Origin", "proxy_hide_header Access-Control-Allow-Origin;"}},
		{"another origin", app, sharing(fields(allowOrigin, "https://example.com", "Vary", "Origin"), preflight),
			expected{"cors-wrong-origin", Problem, "is https://example.com", "with Origin", ""}},
		{"a wildcard with credentials", app, from("Server: Caddy", sharing(fields(allowOrigin, "*", allowCredentials, "true"), preflight)),
			expected{"cors-wildcard-credentials", Problem, "refuse that pair", "with Origin", "\torigins " + app}},
		{"no Vary", app, from("Server: Apache", sharing(fields(allowOrigin, app), preflight)),
			expected{"cors-missing-vary", Warning, "lacks Vary: Origin", "with Origin", "Header always merge Vary Origin"}},
		{"everyone with credentials", app, sharing(fields(allowOrigin, "$", allowCredentials, "true", "Vary", "Origin"), preflight),
			expected{"cors-any-origin-credentials", Warning, "any page on the web", strangerOrigin, "\torigins " + app}},
		{"WebSocket refused", app, func(next http.Handler) http.Handler {
			return sharing(named, preflight)(instead(func(r *http.Request) bool { return isUpgrade(r) && hasOrigin(r) }, refuse)(next))
		}, expected{"websocket-origin-refused", Problem, "not by WebSocket", "403", ""}},
		{"no preflight", app, func(next http.Handler) http.Handler {
			return instead(func(r *http.Request) bool { return r.Method == http.MethodOptions }, answering(405, "", ""))(sharing(named, preflight)(next))
		}, expected{"preflight-refused", Warning, "405", "OPTIONS /socket.io/", ""}},
		{"half a preflight", app, sharing(named, fields(allowOrigin, app)),
			expected{"preflight-incomplete", Warning, "Access-Control-Allow-Headers", "OPTIONS", ""}},
		{"a proxy that fails on Origin", app, instead(hasOrigin, answering(502, "", "")),
			expected{"origin-failed", Problem, "With the header Origin", "502", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, noOptions, test.wrap)
			s.options.Origin = test.origin
			test.want.check(t, s.examine())
		})
	}
}
