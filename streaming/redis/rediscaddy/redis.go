package rediscaddy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/redis"
)

func init() { caddy.RegisterModule(new(Redis)) }

// Redis makes the hubs with one Redis and one prefix one cluster, with each other and with servers
// of Node.js that have @socket.io/redis-adapter. Each hub is a server of its own in it.
type Redis struct {
	// URL are the addresses of Redis: redis://, rediss:// with TLS, or unix://, with user, password
	// and the number of the database where they are needed. Several are those of one Redis Cluster.
	// Default: ["redis://127.0.0.1:6379"].
	URL []string `json:"url,omitempty"`

	// Sentinel are Redis Sentinels that know where Redis is. The URL then says only whether there is
	// TLS, and which database. Default: none.
	Sentinel *Sentinel `json:"sentinel,omitempty"`

	// Username is used in place of that of the URL.
	Username string `json:"username,omitempty"`

	// Password is used in place of that of the URL. Best a placeholder, such as {env.NAME}.
	Password string `json:"password,omitempty"`

	// TLSCA are PEM files with the certificates of the authorities that Redis must be known by, in
	// place of those that the system trusts. They are read when the config is loaded. They need a URL
	// with rediss. Default: none.
	TLSCA []string `json:"tls_ca,omitempty"`

	// Mode is by what of Redis servers speak to each other: "pubsub", as @socket.io/redis-adapter does;
	// "sharded", as its sharded adapter does, with a Redis of version 7; or "streams", as
	// @socket.io/redis-streams-adapter does. Default: "pubsub".
	Mode string `json:"mode,omitempty"`

	// Prefix is what the names of all channels begin with: the option key of the adapter of Node.js.
	// Default: "socket.io".
	Prefix string `json:"prefix,omitempty"`

	// Channel are channels of other libraries that are heard beside those of the mode.
	Channel *Channel `json:"channel,omitempty"`

	// RequestTimeout is how long an answer of other servers is waited for. Zero means the default.
	// Default: 5s.
	RequestTimeout caddy.Duration `json:"request_timeout,omitempty"`

	// MaxMessage is how many bytes a message between servers may have: a larger one is not published,
	// and not taken. At least 1000. Zero means the default. Default: 4000000.
	MaxMessage int64 `json:"max_message,omitempty"`

	options redis.Options
	logger  *slog.Logger
	// hub is the name of the hub that has joined, or empty.
	hub string
}

// Channel are channels of other libraries.
type Channel struct {
	// Python is the channel that servers and emitters of python-socketio, since version 5.14, have in
	// common: its option channel, which is "socketio" by default there. Default: none.
	Python string `json:"python,omitempty"`
}

// Sentinel are Redis Sentinels.
type Sentinel struct {
	// Master is the name that they have for Redis.
	Master string `json:"master,omitempty"`

	// Addresses are where they are, each host:port.
	Addresses []string `json:"addresses,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".redis", New: func() caddy.Module { return new(Redis) }}
}

// Provision replaces placeholders and checks the options. Redis is not asked.
func (r *Redis) Provision(ctx caddy.Context) error {
	r.logger = ctx.Slogger()
	t := option.NewResolver()
	t.Texts("url", &r.URL, "redis://127.0.0.1:6379")
	t.Text("mode", &r.Mode, redis.ModePubSub)
	t.Check(checkMode(r.Mode))
	t.Text("prefix", &r.Prefix, redis.DefaultPrefix)
	t.Duration("request_timeout", &r.RequestTimeout, redis.DefaultRequestTimeout)
	t.Size("max_message", &r.MaxMessage, redis.DefaultMaxMessage, redis.MinMessage)
	t.Check(checkMessage(r.MaxMessage))
	r.options = redis.Options{
		URLs: r.URL, Username: t.One("username", r.Username), Password: t.One("password", r.Password), Mode: r.Mode, Prefix: r.Prefix,
		RequestTimeout: time.Duration(r.RequestTimeout), MaxMessage: int(r.MaxMessage),
	}
	if r.Sentinel != nil {
		t.Text("sentinel", &r.Sentinel.Master, "")
		t.Texts("sentinel", &r.Sentinel.Addresses)
		t.Check(r.Sentinel.check())
		r.options.Master, r.options.Sentinels = r.Sentinel.Master, r.Sentinel.Addresses
	}
	if r.Channel != nil {
		t.Text("channel", &r.Channel.Python, "")
		t.Check(r.Channel.check())
		r.options.Python = r.Channel.Python
	}
	authorities := r.readAuthorities(t)
	t.Check(r.options.Check())
	if err := t.Err(); err != nil {
		return fmt.Errorf("adapter redis: %w", err)
	}
	same, err := json.Marshal([]any{r.options.URLs, r.options.Username, r.options.Password, r.Sentinel, authorities,
		r.Mode, r.Prefix, r.options.Python, r.RequestTimeout, r.MaxMessage})
	r.options.Same = fmt.Sprintf("%x", sha256.Sum256(same))
	return err
}

// readAuthorities reads the files of TLSCA, and returns what is in them.
func (r *Redis) readAuthorities(t *option.Resolver) (all []byte) {
	if len(r.TLSCA) == 0 {
		return nil
	}
	pool := x509.NewCertPool()
	for _, file := range t.All("tls_ca", r.TLSCA) {
		content, err := os.ReadFile(file)
		if err == nil && !pool.AppendCertsFromPEM(content) {
			err = fmt.Errorf("%s has no certificate", file)
		}
		if err != nil {
			t.Check(fmt.Errorf("tls_ca: %w", err))
			return nil
		}
		all = append(all, content...)
	}
	r.options.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return all
}

// nodes has what hubs are in their clusters, by the name of the hub. A node outlives a config as long
// as the next one has it too.
var nodes = caddy.NewUsagePool()

// node ends with the last who uses it.
type node struct{ *redis.Node }

// Destruct implements caddy.Destructor.
func (n node) Destruct() error {
	n.Release()
	return nil
}

// Join makes the hub of that name a server of the cluster. connect puts the options in force.
func (r *Redis) Join(hub string) (create func(streaming.Local) (streaming.Adapter, error), connect func()) {
	value, _, _ := nodes.LoadOrNew(hub, func() (caddy.Destructor, error) { return node{redis.NewNode()}, nil })
	r.hub = hub
	joined := value.(node)
	return joined.Adapter, func() {
		if err := joined.Use(r.options); err != nil {
			r.logger.Error("adapter redis cannot be used", "hub", hub, "error", err.Error())
		}
	}
}

// Cleanup gives up what Join has taken.
func (r *Redis) Cleanup() error {
	if r.hub == "" {
		return nil
	}
	_, err := nodes.Delete(r.hub)
	return err
}

// String returns the options in a form that can be compared, and shown.
func (r *Redis) String() string { return fmt.Sprintf("redis with options %.8s", r.options.Same) }

// modes lists the modes, as an error has them.
const modes = redis.ModePubSub + ", " + redis.ModeSharded + " or " + redis.ModeStreams

// checkMode refuses modes that there are not.
func checkMode(mode string) error {
	switch mode {
	case redis.ModePubSub, redis.ModeSharded, redis.ModeStreams:
		return nil
	}
	return fmt.Errorf("unknown mode %q: write %s", mode, modes)
}

// checkMessage refuses more than may wait to be published at all.
func checkMessage(size int64) error {
	if size > redis.MaxMessage {
		return fmt.Errorf("max_message must be at most %d bytes, is %d", redis.MaxMessage, size)
	}
	return nil
}

func (c *Channel) check() error {
	if c.Python == "" {
		return errors.New("channel python needs the name of the channel, which is socketio where python-socketio has no other")
	}
	return nil
}

func (s *Sentinel) check() error {
	if s.Master == "" || len(s.Addresses) == 0 {
		return errors.New("sentinel needs the name of the master and one address at least")
	}
	for i, address := range s.Addresses {
		if err := checkAddress(address); err != nil {
			return err
		}
		if slices.Contains(s.Addresses[:i], address) {
			return fmt.Errorf("sentinel: %q is given twice", address)
		}
	}
	return nil
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("sentinel: %q is no address, write one such as 10.0.0.1:26379", address)
	}
	return nil
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	adapter redis {
//		url             <url...>
//		sentinel        <master> <host:port...>
//		username        <name>
//		password        <password>
//		tls_ca          <file...>
//		mode            pubsub|sharded|streams
//		prefix          <prefix>
//		channel python  <name>
//		request_timeout <duration>
//		max_message     <size>
//	}
func (r *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the adapter
	if err := option.BlockOnly(d, "adapter redis"); err != nil {
		return err
	}
	err := option.Each(d, func(name string) (err error) {
		switch name {
		case "url":
			if r.URL, err = option.Texts(d, "<url...>"); err == nil {
				err = option.Wrap(d, redis.Options{URLs: option.WithoutPlaceholders(r.URL)}.Check())
			}
		case "sentinel":
			r.Sentinel, err = parseSentinel(d)
		case "username":
			r.Username, err = option.Text(d, "<name>")
		case "password":
			r.Password, err = option.Text(d, "<password>")
		case "tls_ca":
			r.TLSCA, err = option.Texts(d, "<file...>")
		case "mode":
			if r.Mode, err = option.Text(d, "pubsub|sharded|streams"); err == nil && !strings.Contains(r.Mode, "{") {
				err = option.Wrap(d, checkMode(r.Mode))
			}
		case "prefix":
			if r.Prefix, err = option.Text(d, "<prefix>"); err == nil {
				err = option.Wrap(d, redis.Options{Prefix: r.Prefix}.Check())
			}
		case "channel":
			r.Channel, err = parseChannel(d)
		case "request_timeout":
			r.RequestTimeout, err = option.Duration(d)
		case "max_message":
			if r.MaxMessage, err = option.Size(d, redis.MinMessage); err == nil {
				err = option.Wrap(d, checkMessage(r.MaxMessage))
			}
		default:
			err = option.Unknown(d, "adapter redis", "url", "sentinel", "username", "password", "tls_ca", "mode", "prefix",
				"channel", "request_timeout", "max_message")
		}
		return err
	})
	if err != nil {
		return err
	}
	return option.Wrap(d, r.checkTogether())
}

// checkTogether refuses options that do not go together, as far as that is known before placeholders are
// replaced.
func (r *Redis) checkTogether() error {
	if len(option.WithoutPlaceholders(r.URL)) < len(r.URL) || len(r.URL) == 0 {
		return nil
	}
	o := redis.Options{URLs: r.URL}
	if len(r.TLSCA) > 0 {
		o.TLS = new(tls.Config)
	}
	if r.Sentinel != nil {
		o.Master, o.Sentinels = r.Sentinel.Master, r.Sentinel.Addresses
	}
	return o.Check()
}

func parseChannel(d *caddyfile.Dispenser) (*Channel, error) {
	given, err := option.At(d, "python <name>").Arguments(d, 2, 2)
	if err != nil {
		return nil, err
	}
	if given[0] != "python" {
		return nil, d.Errf("unknown kind of channel %q: write python", given[0])
	}
	c := &Channel{Python: given[1]}
	return c, option.Wrap(d, c.check())
}

func parseSentinel(d *caddyfile.Dispenser) (*Sentinel, error) {
	list, err := option.Texts(d, "<master> <host:port...>")
	if err != nil {
		return nil, err
	}
	s := &Sentinel{Master: list[0], Addresses: list[1:]}
	if len(option.WithoutPlaceholders(list)) < len(list) {
		return s, nil
	}
	return s, option.Wrap(d, s.check())
}

// Interface guards.
var (
	_ Adapter               = (*Redis)(nil)
	_ caddy.Provisioner     = (*Redis)(nil)
	_ caddy.CleanerUpper    = (*Redis)(nil)
	_ caddyfile.Unmarshaler = (*Redis)(nil)
)
