package authcaddy

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/internal/option"
)

// parseAuthorities parses the names of files.
func parseAuthorities(d *caddyfile.Dispenser) ([]string, error) {
	return option.Checked(d, "<file...>", func(string) error { return nil })
}

// checkAuthorities refuses files for servers that have no certificate to be known by.
func checkAuthorities(files []string, urls ...string) error {
	if len(files) == 0 || len(option.WithoutPlaceholders(urls)) < len(urls) {
		return nil
	}
	return auth.CheckAuthorities(urls...)
}

// readAuthorities reads the files of tls_ca.
func readAuthorities(files []string, urls ...string) (*auth.Authorities, error) {
	if err := checkAuthorities(files, urls...); err != nil {
		return nil, err
	}
	authorities, err := auth.ReadAuthorities(files)
	if err != nil {
		return nil, fmt.Errorf("tls_ca: %w", err)
	}
	return authorities, nil
}
