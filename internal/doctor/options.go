package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The bounds of what may be asked for.
const (
	maxPaths   = 8
	maxWait    = time.Hour
	maxTimeout = 5 * time.Minute
)

// defaultPaths are where Socket.IO is looked for when no path is given: the client's own default,
// and that of a streaming service below a prefix. A site need not have both.
var defaultPaths = []string{"/socket.io/", "/streaming/socket.io/"}

// Options are what a visit goes by. The zero value of each field stands for its default.
type Options struct {
	// Paths are the Socket.IO paths, each with a slash at both ends. Default: /socket.io/ and
	// /streaming/socket.io/, of which one must answer; of paths that are given all must.
	Paths []string
	// Namespace is the one to connect to. Default: "/".
	Namespace string
	// Auth is the JSON object that is sent with the connect packet. Default: none.
	Auth string
	// Origin is the origin of a page that is to be allowed. Default: the site's own.
	Origin string
	// Header is sent with every request to the site. Default: none.
	Header http.Header
	// Insecure goes on with a certificate that cannot be verified. Default: the visit ends there,
	// as a client would.
	Insecure bool
	// Timeout bounds each request, with its answer. Default: 10 s.
	Timeout time.Duration
	// Wait is how long a silent WebSocket and a pending poll are held. Zero holds none.
	Wait time.Duration
	// HTTPPort is where plain HTTP is expected to redirect to the site. Default: 80 for a site on
	// 443, otherwise none.
	HTTPPort int
	// Health is the path of the health endpoint. Default: /health, which a site need not have.
	Health string

	// late is how long a poll may take once there is something to say. Default: 2 s.
	late time.Duration
}

// The defaults.
const (
	defaultTimeout = 10 * time.Second
	defaultWait    = time.Second
	defaultHealth  = "/health"
	defaultLate    = 2 * time.Second
)

// target is a site with the options for it.
type target struct {
	Options
	site *url.URL // scheme and host alone
	// givenPaths and givenHealth tell paths that were asked for from the defaults.
	givenPaths, givenHealth bool
	secrets                 secrets
}

// parseTarget checks everything the user gave. Its errors say what to do.
func parseTarget(address string, o Options) (*target, error) {
	t := &target{Options: o, givenPaths: len(o.Paths) > 0, givenHealth: o.Health != ""}
	if err := t.parseSite(address); err != nil {
		return nil, err
	}
	if t.Timeout == 0 {
		t.Timeout = defaultTimeout
	}
	if t.Timeout < 0 || t.Timeout > maxTimeout {
		return nil, fmt.Errorf("--timeout %v: give a time above 0 and up to %v", o.Timeout, maxTimeout)
	}
	if t.Wait < 0 || t.Wait > maxWait {
		return nil, fmt.Errorf("--wait %v: give a time from 0 to %v", o.Wait, maxWait)
	}
	if t.HTTPPort < 0 || t.HTTPPort > 65535 {
		return nil, fmt.Errorf("--http-port %d: a port is a number from 1 to 65535", o.HTTPPort)
	}
	if t.late == 0 {
		t.late = defaultLate
	}
	if t.Health == "" {
		t.Health = defaultHealth
	} else if err := checkPath("--health", t.Health); err != nil {
		return nil, err
	}
	if err := t.parsePaths(); err != nil {
		return nil, err
	}
	if err := t.parseHeader(); err != nil {
		return nil, err
	}
	if t.Namespace == "" {
		t.Namespace = "/"
	}
	if t.Namespace[0] != '/' || strings.ContainsAny(t.Namespace, ",?\x1e") || len(t.Namespace) > 256 {
		return nil, fmt.Errorf("--namespace %q: a namespace begins with a slash, such as /chat, and has no comma in it", o.Namespace)
	}
	if t.Origin != "" && t.Origin != "null" {
		u, err := url.Parse(t.Origin)
		if err != nil || u.Scheme == "" || u.Host == "" || t.Origin != u.Scheme+"://"+u.Host {
			return nil, fmt.Errorf("--origin %q: an origin is scheme and host as the browser sends them, such as https://app.example.com, with no slash at the end", o.Origin)
		}
	}
	return t, t.parseAuth()
}

func (t *target) parseSite(address string) error {
	const hint = "give the address of a site, such as https://example.com"
	u, err := url.Parse(address)
	switch {
	case err != nil:
		// The error repeats the address, in which there may be a password.
		inner := new(url.Error)
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return fmt.Errorf("the address cannot be read (%w): %s", err, hint)
	case u.Scheme == "ws" || u.Scheme == "wss":
		return fmt.Errorf("the address begins with %s://: the visit needs HTTP as well, so write http%s://", u.Scheme, strings.TrimPrefix(u.Scheme, "ws"))
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return errors.New("the address does not begin with https:// or http:// and a host: " + hint)
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("the address has a query or a fragment, which a site has not: " + hint)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("the port %s in the address is not a number from 1 to 65535", port)
		}
	}
	t.Header = t.Header.Clone()
	if t.Header == nil {
		t.Header = make(http.Header)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		r := http.Request{Header: make(http.Header)}
		r.SetBasicAuth(u.User.Username(), password)
		t.Header.Set("Authorization", r.Header.Get("Authorization"))
		t.secrets.add(password)
	}
	if u.Path != "" && u.Path != "/" {
		t.Paths = append([]string{u.Path}, t.Paths...)
		t.givenPaths = true
	}
	t.site = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

func (t *target) parsePaths() error {
	if !t.givenPaths {
		t.Paths = defaultPaths
	}
	var paths []string
	for _, path := range t.Paths {
		if err := checkPath("--path", path); err != nil {
			return err
		}
		if !strings.HasSuffix(path, "/") {
			path += "/" // as clients do
		}
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	if len(paths) > maxPaths {
		return fmt.Errorf("--path is given %d times: %d are the most", len(paths), maxPaths)
	}
	t.Paths = paths
	return nil
}

func checkPath(flag, path string) error {
	u, err := url.Parse(path)
	if err != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s %q: a path begins with one slash and has no query", flag, path)
	}
	return nil
}

// ownHeaders are those the visit sets itself.
var ownHeaders = []string{
	"Connection", "Upgrade", "Host", "Content-Length", "Transfer-Encoding", "Accept-Encoding",
	"Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions",
}

func (t *target) parseHeader() error {
	for name, values := range t.Header {
		switch {
		case name == "Origin":
			return errors.New("--header Origin: use --origin")
		case slices.Contains(ownHeaders, name):
			return fmt.Errorf("--header %s: this header is set by the visit itself", name)
		}
		for _, value := range values {
			t.secrets.add(value)
			for _, part := range strings.Fields(value) {
				if len(part) > 2*shortestSecret {
					t.secrets.add(part)
				}
			}
		}
	}
	return nil
}

// parseHeaderLine reads "Name: value".
func parseHeaderLine(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if !ok || name == "" || strings.Trim(name, token) != "" || strings.ContainsAny(value, "\r\n\x00") {
		return "", "", errors.New("--header is written 'Name: value'")
	}
	return name, value, nil
}

func (t *target) parseAuth() error {
	if t.Auth == "" {
		return nil
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(t.Auth), &fields); err != nil || fields == nil {
		return errors.New(`--auth is a JSON object, such as '{"token":"..."}'`)
	}
	t.secrets.add(t.Auth)
	var hide func(value any)
	hide = func(value any) {
		switch value := value.(type) {
		case string:
			t.secrets.add(value)
		case map[string]any:
			for _, inner := range value {
				hide(inner)
			}
		case []any:
			for _, inner := range value {
				hide(inner)
			}
		}
	}
	hide(fields)
	return nil
}

// secure tells whether the site is reached over TLS.
func (t *target) secure() bool { return t.site.Scheme == "https" }

// address is what is dialled.
func (t *target) address() string { return net.JoinHostPort(t.site.Hostname(), t.port()) }

func (t *target) port() string {
	switch {
	case t.site.Port() != "":
		return t.site.Port()
	case t.secure():
		return "443"
	default:
		return "80"
	}
}

// ownOrigin is the origin of the site's own pages, as a browser writes it.
func (t *target) ownOrigin() string {
	host := strings.ToLower(t.site.Host)
	if t.secure() {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return t.site.Scheme + "://" + host
}
