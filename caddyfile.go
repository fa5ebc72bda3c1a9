package socketiostream

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const directive = "socketio_stream"

func init() {
	httpcaddyfile.RegisterHandlerDirective(directive, parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.Before, "reverse_proxy")
}

func parseCaddyfile(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	return h, h.UnmarshalCaddyfile(helper.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	socketio_stream [<matcher>] {
//		hub                  <name>
//		path                 <path...>
//		transports           polling websocket
//		allow_upgrades       on|off
//		ping_interval        <duration>
//		ping_timeout         <duration>
//		connect_timeout      <duration>
//		upgrade_timeout      <duration>
//		max_http_buffer_size <size>
//		cors {
//			origins          <origin...>
//			credentials
//		}
//		cookie               [<name>] {
//			path             <path>
//			domain           <domain>
//			same_site        lax|strict|none
//			secure           on|off
//			http_only        on|off
//			max_age          <duration>
//		}
//		send_buffer          <size>
//		hub_buffer           <size>
//		write_timeout        <duration>
//		max_connections      <n>
//		handshake_rate       <n>/<duration> [<burst>] | off
//		drain                <duration>
//		limits {
//			connections_per_ip    <n>|off
//			half_open_per_ip      <n>|off
//			handshakes_per_ip     <n>/<duration> [<burst>]|off
//			events_per_socket     <n>/<duration> [<burst>]|off
//			bytes_per_socket      <size>/<duration> [<burst>]|off
//			rooms_per_socket      <n>|off
//			namespaces_per_socket <n>
//			pending_acks          <n>|off
//			attachments           <n>
//			allow                 <cidr...>|none
//		}
//		per_message_deflate  [<size>]
//		http_compression     [<size>]
//		log_connections      all|sampled|faults
//		serve_client         cdn|off|<folder>
//		health               <path...>
//		status               <path...> {
//			allow            <cidr...>
//		}
//		auth none
//		auth caddy
//		auth jwt { ... }
//		auth http <url> { ... }
//		namespace <name> {
//			auth             none|caddy|jwt|http ...
//			events streaming {
//				audience     all|subscribers
//				replay       none|first
//				max_streams  <n>
//			}
//			events sessions {
//				max_clients     <n>
//				max_sessions    <n>
//				session_timeout <duration>
//				history         <n> [<size>]
//				fingerprint     off|first
//				throttle        <event> <n>/<duration>
//				batch           <max entries>
//			}
//			events relay     <event...>
//		}
//	}
//
// Every option may be given once; namespace once for each name, and events once for each set. The blocks of auth are those
// of [JWTAuth] and [HTTPAuth]. Only fields are filled
// here: defaults are Provision's, so that JSON and Caddyfile agree.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	h.DeclaredAt = filepath.Base(d.File()) + ":" + strconv.Itoa(d.Line())
	if d.NextArg() {
		return d.ArgErr()
	}
	options := make(options)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "namespace" {
			if err := options.add(d); err != nil {
				return err
			}
		}
		if err := h.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch option := d.Val(); option {
	case "hub":
		h.Hub, err = parseText(d)
	case "path":
		h.Paths, err = parsePaths(d)
	case "transports":
		h.Transports, err = parseTransports(d)
	case "allow_upgrades":
		h.AllowUpgrades, err = parseSwitch(d)
	case "ping_interval":
		h.PingInterval, err = parseDuration(d)
	case "ping_timeout":
		h.PingTimeout, err = parseDuration(d)
	case "connect_timeout":
		h.ConnectTimeout, err = parseDuration(d)
	case "upgrade_timeout":
		h.UpgradeTimeout, err = parseDuration(d)
	case "max_http_buffer_size":
		h.MaxHTTPBufferSize, err = parseSize(d, 1)
	case "cors":
		h.CORS = new(CORS)
		err = h.CORS.unmarshalCaddyfile(d)
	case "cookie":
		h.Cookie = new(Cookie)
		err = h.Cookie.unmarshalCaddyfile(d)
	case "send_buffer":
		h.SendBuffer, err = parseSize(d, minSendBuffer)
	case "hub_buffer":
		// It must be at least send_buffer, which may come later: that is Validate's.
		h.HubBuffer, err = parseSize(d, minSendBuffer)
	case "write_timeout":
		h.WriteTimeout, err = parseDuration(d)
	case "max_connections":
		h.MaxConnections, err = parseCount(d)
	case "handshake_rate":
		h.HandshakeRate, err = parseHandshakeRate(d)
	case "drain":
		h.Drain, err = parseDuration(d)
	case "limits":
		h.Limits = new(Limits)
		err = h.Limits.unmarshalCaddyfile(d)
	case "per_message_deflate":
		h.PerMessageDeflate, err = parseCompression(d)
	case "http_compression":
		h.HTTPCompression, err = parseCompression(d)
	case "log_connections":
		h.LogConnections, err = parseChoice(d, logAll, logSampled, logFaults)
	case "serve_client":
		h.ServeClient, err = parseText(d)
	case "health":
		h.Health, err = parsePaths(d)
	case "status":
		h.Status = new(Status)
		err = h.Status.unmarshalCaddyfile(d)
	case "auth":
		h.AuthRaw, err = unmarshalAuth(d)
	case "namespace":
		err = h.unmarshalNamespace(d)
	case "events":
		err = d.Err("events belongs into the block of a namespace, as in: namespace / { ... }")
	default:
		err = d.Errf("unrecognized option '%s' of %s", option, directive)
	}
	return err
}

func (c *CORS) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	options := make(options)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := options.add(d); err != nil {
			return err
		}
		switch option := d.Val(); option {
		case "origins":
			for _, argument := range d.RemainingArgs() {
				c.Origins = append(c.Origins, splitList(argument)...)
			}
			if len(c.Origins) == 0 {
				return d.ArgErr()
			}
			if _, err := newOriginPolicy(withoutPlaceholders(c.Origins), false); err != nil {
				return d.WrapErr(err)
			}
		case "credentials":
			if d.NextArg() {
				return d.ArgErr()
			}
			c.Credentials = true
		default:
			return d.Errf("unrecognized option '%s' of cors", option)
		}
		if err := refuseBlock(d); err != nil {
			return err
		}
	}
	if len(c.Origins) == 0 {
		return d.Err("cors needs origins")
	}
	return nil
}

func (c *Cookie) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		c.Name = d.Val()
		if d.NextArg() {
			return d.ArgErr()
		}
	}
	return eachOption(d, func(option string) (err error) {
		switch option {
		case "path":
			c.Path, err = parseText(d)
		case "domain":
			c.Domain, err = parseText(d)
		case "same_site":
			c.SameSite, err = parseChoice(d, "lax", "strict", "none")
		case "secure":
			c.Secure, err = parseSwitch(d)
		case "http_only":
			c.HTTPOnly, err = parseSwitch(d)
		case "max_age":
			if c.MaxAge, err = parseDuration(d); err == nil {
				err = wrap(d, checkMaxAge(time.Duration(c.MaxAge)))
			}
		default:
			err = d.Errf("unrecognized option '%s' of cookie", option)
		}
		return err
	})
}

func (s *Status) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	s.Paths = d.RemainingArgs()
	if err := checkPaths(d, s.Paths); err != nil {
		return err
	}
	options := make(options)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := options.add(d); err != nil {
			return err
		}
		if d.Val() != "allow" {
			return d.Errf("unrecognized option '%s' of status", d.Val())
		}
		for _, argument := range d.RemainingArgs() {
			s.Allow = append(s.Allow, splitList(argument)...)
		}
		if len(s.Allow) == 0 {
			return d.ArgErr()
		}
		for _, expression := range withoutPlaceholders(s.Allow) {
			if _, err := caddyhttp.CIDRExpressionToPrefix(expression); err != nil {
				return d.WrapErr(err)
			}
		}
		if err := refuseBlock(d); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) unmarshalNamespace(d *caddyfile.Dispenser) error {
	ns := new(Namespace)
	if !d.AllArgs(&ns.Name) {
		return d.ArgErr()
	}
	for _, name := range withoutPlaceholders([]string{ns.Name}) {
		if err := checkNamespaceName(name); err != nil {
			return d.WrapErr(err)
		}
	}
	if slices.ContainsFunc(h.Namespaces, func(other *Namespace) bool { return other.Name == ns.Name }) {
		return d.Errf("namespace %q is given twice", ns.Name)
	}
	options := make(options)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() == "auth" {
			if ns.AuthRaw != nil {
				return d.Err("auth is given twice")
			}
			var err error
			if ns.AuthRaw, err = unmarshalAuth(d); err != nil {
				return err
			}
			continue
		}
		if d.Val() != "events" {
			return d.Errf("unrecognized option '%s' of namespace", d.Val())
		}
		raw, err := unmarshalEvents(d, options)
		if err != nil {
			return err
		}
		ns.EventsRaw = append(ns.EventsRaw, raw)
	}
	if len(ns.EventsRaw) == 0 {
		return d.Errf("namespace %q has no events", ns.Name)
	}
	h.Namespaces = append(h.Namespaces, ns)
	return nil
}

// unmarshalEvents hands the tokens after "events" to the guest module they name.
func unmarshalEvents(d *caddyfile.Dispenser, given options) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, d.ArgErr()
	}
	set := d.Val()
	id := eventsNamespace + "." + set
	if _, err := caddy.GetModule(id); err != nil {
		return nil, d.Errf("unknown event set '%s': there is no module %s in this build", set, id)
	}
	if given[set] {
		return nil, d.Errf("events %s is given twice", set)
	}
	given[set] = true
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, eventsKey, set, nil), nil
}
