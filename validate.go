package socketiostream

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/option"
)

// hubName is what a hub may be called: the name appears in admin addresses and in metrics.
var hubName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// check holds the options against their bounds and against each other.
func (s *settings) check() error {
	if !hubName.MatchString(s.hub) {
		return fmt.Errorf("hub %q: a name is up to 64 letters, digits, dots, dashes and underscores", s.hub)
	}
	for _, err := range []error{
		s.checkTransports(), s.checkPaths(), s.checkLimits(), s.limits.check(), s.checkOrigins(), s.cookie.check(),
		s.perMessageDeflate.check("per_message_deflate"), s.httpCompression.check("http_compression"),
		option.CheckChoice("log_connections", s.logConnections, logAll, logSampled, logFaults),
		s.handshakeRate.check(), checkClientFolder(s.serveClient), s.checkNamespaces(),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *settings) checkTransports() error {
	for i, transport := range s.transports {
		if err := checkTransport(transport); err != nil {
			return err
		}
		if slices.Contains(s.transports[:i], transport) {
			return fmt.Errorf("transport %q is given twice", transport)
		}
	}
	if len(s.transports) == 0 {
		return errors.New("transports is empty")
	}
	return nil
}

func checkTransport(transport string) error {
	if transport != transportPolling && transport != transportWebSocket {
		return fmt.Errorf("unknown transport %q: write polling, websocket or both", transport)
	}
	return nil
}

func (s *settings) checkPaths() error {
	for i, p := range s.paths {
		if err := option.CheckPath("path", p); err != nil {
			return err
		}
		if slices.Contains(s.paths[:i], p) {
			return fmt.Errorf("path %q is given twice", p)
		}
	}
	for p := range s.health {
		if err := option.CheckPath("health", p); err != nil {
			return err
		}
		if s.isSocketPath(p) {
			return fmt.Errorf("health path %q is a socket path too", p)
		}
		if s.status[p] {
			return fmt.Errorf("%q is both a health path and a status path", p)
		}
	}
	for p := range s.status {
		if err := option.CheckPath("status", p); err != nil {
			return err
		}
		if s.isSocketPath(p) {
			return fmt.Errorf("status path %q is a socket path too", p)
		}
	}
	if s.status != nil && len(s.status) == 0 {
		return errors.New("status has no paths")
	}
	return nil
}

func (s *settings) isSocketPath(p string) bool {
	return slices.Contains(s.paths, strings.TrimSuffix(p, "/")+"/")
}

func (s *settings) checkLimits() error {
	for _, bounded := range []struct {
		name  string
		value time.Duration
	}{
		{"ping_interval", s.pingInterval},
		{"ping_timeout", s.pingTimeout},
		{"connect_timeout", s.connectTimeout},
		{"upgrade_timeout", s.upgradeTimeout},
		{"write_timeout", s.writeTimeout},
		{"drain", s.drain},
	} {
		if err := option.CheckDuration(bounded.name, bounded.value); err != nil {
			return err
		}
	}
	if s.maxHTTPBufferSize < 1 {
		return fmt.Errorf("max_http_buffer_size must be at least one byte, is %d", s.maxHTTPBufferSize)
	}
	if s.sendBuffer < minSendBuffer {
		return fmt.Errorf("send_buffer must be at least 64 kB, is %d bytes", s.sendBuffer)
	}
	if s.hubBuffer != 0 && s.hubBuffer < s.sendBuffer {
		return fmt.Errorf("hub_buffer must be at least send_buffer, which is %d bytes, is %d bytes", s.sendBuffer, s.hubBuffer)
	}
	if s.maxConnections < 0 {
		return fmt.Errorf("max_connections must not be negative, is %d", s.maxConnections)
	}
	return nil
}

func (s *settings) checkOrigins() error {
	if s.origins.AllowsCredentials() && s.origins.Empty() {
		return errors.New("cors credentials has no effect without cors origins")
	}
	return nil
}

func (c *cookieSettings) check() error {
	if c == nil {
		return nil
	}
	if err := checkSameSite(c.sameSite); err != nil {
		return err
	}
	if c.sameSite == "none" && c.secure != nil && !*c.secure {
		return errors.New("cookie same_site none needs secure on: browsers refuse such a cookie otherwise")
	}
	if err := checkMaxAge(c.maxAge); err != nil {
		return err
	}
	cookie := http.Cookie{Name: c.name, Value: "x", Path: c.path, Domain: c.domain}
	if err := cookie.Valid(); err != nil {
		return fmt.Errorf("cookie: %w", err)
	}
	if !strings.HasPrefix(c.path, "/") {
		return fmt.Errorf("cookie path %q: a path begins with a slash", c.path)
	}
	return nil
}

func (c *compressionSettings) check(option string) error {
	if c != nil && c.threshold < 1 {
		return fmt.Errorf("%s: the threshold must be at least one byte, is %d", option, c.threshold)
	}
	return nil
}

func checkSameSite(sameSite string) error {
	if sameSite != "lax" && sameSite != "strict" && sameSite != "none" {
		return fmt.Errorf("unknown cookie same_site %q: write lax, strict or none", sameSite)
	}
	return nil
}

// checkMaxAge refuses what a Set-Cookie header cannot say, which counts in seconds. Zero is a session cookie.
func checkMaxAge(maxAge time.Duration) error {
	if maxAge < 0 || maxAge%time.Second != 0 {
		return fmt.Errorf("cookie max_age must be whole seconds, is %s", maxAge)
	}
	return nil
}

func (s *settings) checkNamespaces() error {
	seen := make(map[string]bool, len(s.namespaces))
	for _, ns := range s.namespaces {
		if err := checkNamespaceName(ns.name); err != nil {
			return err
		}
		if seen[ns.name] {
			return fmt.Errorf("namespace %q is given twice", ns.name)
		}
		seen[ns.name] = true
		if err := checkEventSets(&ns); err != nil {
			return fmt.Errorf("namespace %q: %w", ns.name, err)
		}
	}
	return nil
}

// checkNamespaceName refuses names a client could never ask for: on the wire a comma ends the name, and clients cut it
// at a question mark.
func checkNamespaceName(name string) error {
	if !strings.HasPrefix(name, "/") {
		return fmt.Errorf("namespace %q: a name begins with a slash, write /%s", name, name)
	}
	if strings.ContainsAny(name, ",?# \t\r\n") {
		return fmt.Errorf("namespace %q: a name has no comma, question mark, number sign or white space", name)
	}
	return nil
}
