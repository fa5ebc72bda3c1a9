// Command caddy is Caddy with this module and the event set of the end-to-end
// tests.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-socketio/socketio-stream"
	_ "github.com/caddy-socketio/socketio-stream/e2e/echo"
)

func main() { caddycmd.Main() }
