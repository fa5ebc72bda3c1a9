package sites

import (
	"encoding/json"
	"reflect"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// server is what is asked of the JSON of one of Caddy's HTTP servers.
type server struct {
	Routes      []route          `json:"routes"`
	NamedRoutes map[string]route `json:"named_routes"`
	Policies    []tlsPolicy      `json:"tls_connection_policies"`
	proxies

	// live is the server that Caddy makes of it.
	live *caddyhttp.Server
}

// proxies is what says whose word a server takes for the address of a client.
type proxies struct {
	Trusted json.RawMessage `json:"trusted_proxies,omitempty"`
	Strict  int             `json:"trusted_proxies_strict,omitempty"`
	Headers []string        `json:"client_ip_headers,omitempty"`
}

// tlsPolicy says how clients come to a server by TLS.
type tlsPolicy struct {
	Match                map[string]json.RawMessage `json:"match"`
	ClientAuthentication json.RawMessage            `json:"client_authentication"`
}

// withHandlers counts the routes that have handlers.
func (s *server) withHandlers() (count int) {
	for i := range s.Routes {
		if len(s.Routes[i].Handle) > 0 {
			count++
		}
	}
	return count
}

// serversOf returns the servers of the HTTP app that is being provisioned, by name, or nil where
// that is not known.
func serversOf(ctx caddy.Context, app *caddyhttp.App) map[string]*server {
	var config struct {
		Servers map[string]*server `json:"servers"`
	}
	if json.Unmarshal(jsonOf(ctx, "http"), &config) != nil {
		return nil
	}
	for name, s := range config.Servers {
		if s == nil || app.Servers[name] == nil {
			delete(config.Servers, name)
			continue
		}
		s.live = app.Servers[name]
	}
	return config.Servers
}

// jsonOf returns the JSON of an app that is being provisioned, or nil. Caddy has it in a field that
// it shows to nobody. Where a version of Caddy has that no more, no place is known.
func jsonOf(ctx caddy.Context, app string) []byte {
	config := reflect.ValueOf(ctx).FieldByName("cfg")
	if !config.IsValid() || config.Kind() != reflect.Pointer || config.IsNil() {
		return nil
	}
	apps := config.Elem().FieldByName("AppsRaw")
	if !apps.IsValid() || apps.Kind() != reflect.Map {
		return nil
	}
	raw := apps.MapIndex(reflect.ValueOf(app))
	if !raw.IsValid() || raw.Kind() != reflect.Slice {
		return nil
	}
	return raw.Bytes()
}
