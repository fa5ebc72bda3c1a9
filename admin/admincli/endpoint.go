package admincli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// endpoint is where the admin API is.
type endpoint struct {
	network, address string
	// host is what the Host header says.
	host string
}

// String is how the endpoint is called in messages.
func (e endpoint) String() string {
	if e.network == "tcp" {
		return e.address
	}
	return e.network + "/" + e.address
}

// findEndpoint finds the admin endpoint as Caddy's own commands do: at the
// address given, else where the config file says, else at the default, which
// the environment variable CADDY_ADMIN can change.
func findEndpoint(address, config, adapter string) (endpoint, error) {
	if address == "" && adapter != "" && config == "" {
		return endpoint{}, fmt.Errorf("--adapter is of no use without --config")
	}
	if address == "" && config != "" {
		var err error
		if address, err = configuredAddress(config, adapter); err != nil {
			return endpoint{}, err
		}
	}
	if address == "" {
		address = caddy.DefaultAdminListen
	}
	return parseEndpoint(address)
}

// configuredAddress returns the admin address that a config file gives, or
// nothing where it gives none.
func configuredAddress(file, adapter string) (string, error) {
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return "", fmt.Errorf("reading the admin address from %s: %w", file, err)
	}
	var config struct {
		Admin struct {
			Disabled bool   `json:"disabled"`
			Listen   string `json:"listen"`
		} `json:"admin"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("reading the admin address from %s: %w", file, err)
	}
	if config.Admin.Disabled {
		return "", fmt.Errorf("%s switches the admin endpoint off, and without it there is nobody to ask: replace \"admin off\" by an address, such as \"admin localhost:2019\"", file)
	}
	return config.Admin.Listen, nil
}

func parseEndpoint(address string) (endpoint, error) {
	replaced, err := caddy.NewReplacer().ReplaceOrErr(strings.TrimPrefix(strings.TrimSuffix(address, "/"), "http://"), true, true)
	if err != nil {
		return endpoint{}, fmt.Errorf("the admin address %q: %w", address, err)
	}
	parsed, err := caddy.ParseNetworkAddress(replaced)
	if err != nil {
		return endpoint{}, fmt.Errorf("the admin address %q: %w", address, err)
	}
	if parsed.IsUnixNetwork() {
		// What follows a bar are the permissions of the socket.
		path, _, _ := strings.Cut(parsed.Host, "|")
		return endpoint{network: parsed.Network, address: path, host: "127.0.0.1"}, nil
	}
	switch {
	case parsed.Network != "tcp" && parsed.Network != "tcp4" && parsed.Network != "tcp6":
		return endpoint{}, fmt.Errorf("the admin address %q: a command cannot connect to %q", address, parsed.Network)
	case parsed.PortRangeSize() != 1 || parsed.StartPort == 0:
		return endpoint{}, fmt.Errorf("the admin address %q must have one port, such as localhost:2019", address)
	}
	e := endpoint{network: parsed.Network, address: parsed.JoinHostPort(0), host: parsed.JoinHostPort(0)}
	if parsed.Host == "" {
		e.host = "localhost" + e.address
	}
	return e, nil
}
