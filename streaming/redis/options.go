package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The defaults of [Options].
const (
	DefaultPrefix         = "socket.io"
	DefaultRequestTimeout = 5 * time.Second
	DefaultMaxMessage     = 4_000_000
)

// MinMessage and MaxMessage bound [Options.MaxMessage], in bytes: a message must have room among those
// that wait to be published.
const (
	MinMessage = 1000
	MaxMessage = queueBytes / 2
)

// Options say where Redis is and how to talk to it. They are not changed once a [Node] has them.
type Options struct {
	// URLs are the addresses: redis://, rediss:// with TLS, or unix://, with user, password and the
	// number of the database where they are needed. Several are those of one Redis Cluster.
	URLs []string
	// Master is the name that sentinels have for Redis, and Sentinels are where they are, each
	// host:port. The URL then says only whether there is TLS, and which database.
	Master    string
	Sentinels []string
	// Username and Password are used in place of those of the URLs.
	Username, Password string
	// TLS, when not nil, is for URLs with rediss.
	TLS *tls.Config
	// Mode is one of the modes. Default: ModePubSub.
	Mode string
	// Prefix is what the names of all channels begin with.
	Prefix string
	// Python, when not empty, is the channel of python-socketio, whose servers and emitters are heard, too.
	Python string
	// RequestTimeout is how long an answer of other servers is waited for. Default:
	// DefaultRequestTimeout.
	RequestTimeout time.Duration
	// MaxMessage is how many bytes a message may have, in either direction. Default:
	// DefaultMaxMessage.
	MaxMessage int
	// Same is the same for options that mean the same. It is only compared.
	Same string

	protocol protocol
	// beat is how often a node makes sure that it hears itself. Zero means the default.
	beat time.Duration
}

// defaultBeat is how often a node makes sure that it hears itself, and deafAfter how many times it
// may not before it is deaf.
const (
	defaultBeat = 2 * time.Second
	deafAfter   = 3
)

func (o Options) withDefaults() Options {
	if len(o.URLs) == 0 {
		o.URLs = []string{"redis://127.0.0.1:6379"}
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	if o.Mode == "" {
		o.Mode = ModePubSub
	}
	o.protocol = protocolOf(o.Mode)
	if o.beat == 0 {
		o.beat = defaultBeat
	}
	return o
}

// defaults are the options of a node that has none yet.
var defaults = Options{}.withDefaults()

// CheckURL refuses what is no address of Redis. The error does not show a password.
func CheckURL(address string) error {
	shown := redacted(address)
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return fmt.Errorf("%q is no URL: write one such as redis://127.0.0.1:6379", shown)
	}
	switch u.Scheme {
	case "redis", "rediss":
		if u.Host == "" || u.Hostname() == "" {
			return fmt.Errorf("%q names no host: write one such as %s://127.0.0.1:6379", shown, u.Scheme)
		}
	case "unix":
		if u.Path == "" {
			return fmt.Errorf("%q names no socket: write one such as unix:///run/redis/redis.sock", shown)
		}
	default:
		return fmt.Errorf("%q begins with %s: an address of Redis begins with redis, rediss or unix", shown, u.Scheme)
	}
	if _, err := redis.ParseURL(address); err != nil {
		return fmt.Errorf("%q: %s", shown, strings.TrimPrefix(err.Error(), "redis: "))
	}
	return nil
}

// redacted hides the password of a URL.
func redacted(address string) string {
	u, err := url.Parse(address)
	switch {
	case err == nil && u.Opaque == "":
		return u.Redacted()
	case strings.Contains(address, "@"):
		return "(not shown)"
	}
	return address
}

// Check refuses options that do not go together.
func (o Options) Check() error {
	for _, address := range o.URLs {
		if err := CheckURL(address); err != nil {
			return err
		}
	}
	for i, address := range o.URLs {
		if slices.Contains(o.URLs[:i], address) {
			return fmt.Errorf("%q is given twice", redacted(address))
		}
	}
	switch {
	case len(o.URLs) > 1 && o.Master != "":
		return errors.New("sentinels know where Redis is: give one url at most")
	case len(o.URLs) > 1 && slices.ContainsFunc(o.URLs, isSocket):
		return errors.New("a Redis Cluster is not reached by unix")
	case o.Master != "" && len(o.URLs) == 1 && isSocket(o.URLs[0]):
		return errors.New("a Redis that sentinels know is not reached by unix")
	case o.Master != "" && len(o.Sentinels) == 0:
		return errors.New("sentinel needs the name of the master and one address at least")
	case o.TLS != nil && !slices.ContainsFunc(o.URLs, isTLS):
		return errors.New("tls_ca needs a url that begins with rediss")
	case strings.ContainsRune(o.Prefix, '#'):
		return fmt.Errorf("prefix %q: it has no number sign, which divides the names of channels", o.Prefix)
	}
	return nil
}

func isSocket(address string) bool { return strings.HasPrefix(address, "unix:") }

func isTLS(address string) bool { return strings.HasPrefix(address, "rediss:") }

// client makes a client of Redis, and says how logs name where it is. The options have been checked.
func (o Options) client() (client redis.UniversalClient, address string, err error) {
	u := &redis.UniversalOptions{
		Protocol: 2,
		// What was published must not be published again: whoever has it would have it twice.
		MaxRetries:      -1,
		DialTimeout:     3 * time.Second,
		ReadTimeout:     3 * time.Second,
		WriteTimeout:    3 * time.Second,
		DialerRetries:   1,
		DisableIdentity: true,
		MasterName:      o.Master,
		IsClusterMode:   len(o.URLs) > 1,
	}
	for _, given := range o.URLs {
		parsed, err := redis.ParseURL(given)
		if err != nil {
			return nil, "", err
		}
		u.Username, u.Password, u.DB = parsed.Username, parsed.Password, parsed.DB
		if u.TLSConfig = parsed.TLSConfig; u.TLSConfig != nil && o.TLS != nil {
			u.TLSConfig = o.TLS.Clone()
		}
		if u.TLSConfig != nil {
			// Each server is known by the name that it is reached by.
			u.TLSConfig.ServerName = ""
		}
		u.Addrs = append(u.Addrs, parsed.Addr)
		if isSocket(given) {
			socket := *parsed
			socket.Protocol, socket.MaxRetries, socket.DisableIdentity = u.Protocol, u.MaxRetries, true
			socket.DialerRetries = u.DialerRetries
			socket.DialTimeout, socket.ReadTimeout, socket.WriteTimeout = u.DialTimeout, u.ReadTimeout, u.WriteTimeout
			o.login(&socket.Username, &socket.Password)
			return redis.NewClient(&socket), parsed.Addr, nil
		}
	}
	if o.Master != "" {
		u.Addrs = o.Sentinels
	}
	o.login(&u.Username, &u.Password)
	return redis.NewUniversalClient(u), strings.Join(u.Addrs, " "), nil
}

// login puts the options in place of what a URL has.
func (o Options) login(username, password *string) {
	if o.Username != "" {
		*username = o.Username
	}
	if o.Password != "" {
		*password = o.Password
	}
}

// quiet leaves out the lines of the client of Redis about a Redis that cannot be reached, which come
// with each try: that is logged once, see link. It also leaves out those about connections that are closed
// while a stream is waited for, which is how that ends.
type quiet struct{}

func init() { redis.SetLogger(quiet{}) }

// Printf is what the client logs by.
func (quiet) Printf(_ context.Context, format string, values ...any) {
	if !strings.Contains(format, "failed to dial") && !strings.Contains(format, "state changed by hook") {
		log.Printf("redis: "+format, values...)
	}
}
