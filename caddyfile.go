package socketiostream

import (
	"path/filepath"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/internal/sites"
	"github.com/caddy-socketio/socketio-stream/publish/publishcaddy"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery/recoverycaddy"
)

const directive = "socketio_stream"

func init() {
	httpcaddyfile.RegisterHandlerDirective(directive, parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.Before, "reverse_proxy")
}

func parseCaddyfile(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	h.countDeclaration(helper.State)
	h.DeclaredIn = sites.BlockOf(helper)
	return h, nil
}

// countDeclaration tells declarations apart that are one line of one file, as where two sites import
// it. state is that of the whole Caddyfile.
func (h *Handler) countDeclaration(state map[string]any) {
	counts, ok := state[directive].(map[string]int)
	if !ok {
		counts = make(map[string]int)
		state[directive] = counts
	}
	place := h.DeclaredAt
	if counts[place]++; counts[place] > 1 {
		h.DeclaredAt += " #" + strconv.Itoa(counts[place])
	}
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	socketio_stream [<matcher>] {
//		hub                  <name>
//		path                 <path...>
//		transports           polling websocket
//		allow_upgrades       on|off
//		allow_eio3           [on|off]
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
//		recovery { ... }
//		per_message_deflate  [<size>]
//		http_compression     [<size>]
//		log_connections      all|sampled|faults
//		log_events           off|names
//		serve_client         cdn|off|<folder>
//		health               <path...>
//		status               <path...> {
//			allow            <cidr...>|none
//		}
//		publish <path> { ... }
//		auth none|caddy
//		auth jwt { ... }
//		auth http <url> { ... }
//		adapter              memory|redis ...
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
//			events rooms {
//				on          <event> [<argument>...] { ... }
//				allow       <room...>
//				max_members <n>
//			}
//		}
//	}
//
// Every option may be given once; namespace once for each name, and events once for each set. The
// blocks are those of [authcaddy.JWT], [authcaddy.HTTP], [rediscaddy.Redis] and [recoverycaddy.Options]. Only fields are filled
// here: defaults are Provision's, so that JSON and Caddyfile agree.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	h.DeclaredAt = filepath.Base(d.File()) + ":" + strconv.Itoa(d.Line())
	if _, err := option.At(d, "[<matcher>] { ... }").ArgumentsBeforeBlock(d, 0, 0); err != nil {
		return err
	}
	return option.Each(d, func(string) error { return h.unmarshalOption(d) }, "namespace", "publish")
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch name := d.Val(); name {
	case "hub":
		h.Hub, err = parseHub(d)
	case "path":
		h.Paths, err = option.Paths(d)
	case "transports":
		h.Transports, err = parseTransports(d)
	case "allow_upgrades":
		h.AllowUpgrades, err = option.Switch(d)
	case "allow_eio3":
		h.AllowEIO3, err = option.SwitchedOn(d)
	case "ping_interval":
		h.PingInterval, err = option.Duration(d)
	case "ping_timeout":
		h.PingTimeout, err = option.Duration(d)
	case "connect_timeout":
		h.ConnectTimeout, err = option.Duration(d)
	case "upgrade_timeout":
		h.UpgradeTimeout, err = option.Duration(d)
	case "max_http_buffer_size":
		h.MaxHTTPBufferSize, err = option.Size(d, 1)
	case "cors":
		h.CORS = new(CORS)
		err = h.CORS.unmarshalCaddyfile(d)
	case "cookie":
		h.Cookie = new(Cookie)
		err = h.Cookie.unmarshalCaddyfile(d)
	case "send_buffer":
		h.SendBuffer, err = option.Size(d, minSendBuffer)
	case "hub_buffer":
		// It must be at least send_buffer, which may come later: that is Validate's.
		h.HubBuffer, err = option.Size(d, minSendBuffer)
	case "write_timeout":
		h.WriteTimeout, err = option.Duration(d)
	case "max_connections":
		h.MaxConnections, err = option.Count(d)
	case "handshake_rate":
		h.HandshakeRate, err = option.ClientRate.Unmarshal(d)
	case "drain":
		h.Drain, err = option.Duration(d)
	case "limits":
		h.Limits = new(Limits)
		err = h.Limits.unmarshalCaddyfile(d)
	case "recovery":
		h.Recovery, err = recoverycaddy.Unmarshal(d)
	case "per_message_deflate":
		h.PerMessageDeflate, err = parseCompression(d)
	case "http_compression":
		h.HTTPCompression, err = parseCompression(d)
	case "log_connections":
		h.LogConnections, err = option.Choice(d, logAll, logSampled, logFaults)
	case "log_events":
		h.LogEvents, err = option.Choice(d, logOff, logNames)
	case "serve_client":
		h.ServeClient, err = option.Text(d, "cdn|off|<folder>")
	case "health":
		h.Health, err = option.Paths(d)
	case "status":
		h.Status = new(Status)
		err = h.Status.unmarshalCaddyfile(d)
	case "publish":
		var o *publishcaddy.Options
		o, err = publishcaddy.Unmarshal(d)
		h.Publish = append(h.Publish, o)
	case "auth":
		h.AuthRaw, err = unmarshalAuth(d)
	case "adapter":
		h.AdapterRaw, err = unmarshalAdapter(d)
	case "namespace":
		ns := new(Namespace)
		err = ns.unmarshalCaddyfile(d, h.Namespaces)
		h.Namespaces = append(h.Namespaces, ns)
	case "events":
		err = d.Err("events belongs into the block of a namespace, as in: namespace / { ... }")
	default:
		err = option.Unknown(d, directive, "hub", "path", "transports", "allow_upgrades", "allow_eio3", "ping_interval", "ping_timeout", "connect_timeout",
			"upgrade_timeout", "max_http_buffer_size", "cors", "cookie", "send_buffer", "hub_buffer", "write_timeout", "max_connections",
			"handshake_rate", "drain", "limits", "recovery", "per_message_deflate", "http_compression", "log_connections", "log_events", "serve_client", "health",
			"status", "publish", "auth", "adapter", "namespace")
	}
	return err
}

func parseTransports(d *caddyfile.Dispenser) ([]string, error) {
	transports, err := option.At(d, "polling websocket").Arguments(d, 1, 2)
	if err != nil {
		return nil, err
	}
	return transports, option.Wrap(d, checkTransports(transports))
}
