package socketiostream

import (
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
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
	options := make(options)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := options.add(d); err != nil {
			return err
		}
		var err error
		switch option := d.Val(); option {
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
		if err != nil {
			return err
		}
	}
	return nil
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
