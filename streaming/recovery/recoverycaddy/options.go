// Package recoverycaddy is how recovery is written in a Caddyfile.
package recoverycaddy

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// Options say what is kept for clients whose connection is cut, so that they go on when they are back.
type Options struct {
	// Window is how long a client has to come back. Zero means the default. Default: 2m.
	Window caddy.Duration `json:"window,omitempty"`

	// MaxBytes is how many bytes of memory may be taken by what is kept: by the packets, and by the
	// sockets that wait for their clients, which may have half of it. At least 1000000. Zero means
	// the default. Default: 64000000.
	MaxBytes int64 `json:"max_bytes,omitempty"`

	// MaxPackets is how many packets may be kept. Zero means the default. Default: 100000.
	MaxPackets int `json:"max_packets,omitempty"`

	// Store is where it is kept: "memory", which is gone when the process ends, or "storage", which is
	// memory whose state is also written to Caddy's storage, every second while something changes and
	// when the process ends, and read from there when it begins: clients are recovered after a restart.
	// Default: "memory".
	Store string `json:"store,omitempty"`
}

// storeMemory and storeStorage are the stores that there are, and minMaxBytes is the least of max_bytes.
const (
	storeMemory  = "memory"
	storeStorage = "storage"
	minMaxBytes  = 1_000_000
)

// Unmarshal reads the block:
//
//	recovery {
//		window      <duration>
//		max_bytes   <size>
//		max_packets <n>
//		store       memory|storage
//	}
func Unmarshal(d *caddyfile.Dispenser) (*Options, error) {
	if err := option.BlockOnly(d, "recovery"); err != nil {
		return nil, err
	}
	o := new(Options)
	return o, option.Each(d, func(name string) (err error) {
		switch name {
		case "window":
			o.Window, err = option.Duration(d)
		case "max_bytes":
			o.MaxBytes, err = option.Size(d, minMaxBytes)
		case "max_packets":
			o.MaxPackets, err = option.Count(d)
		case "store":
			if o.Store, err = option.Text(d, storeMemory+"|"+storeStorage); err == nil && len(option.WithoutPlaceholders([]string{o.Store})) > 0 {
				err = option.Wrap(d, checkStore(o.Store))
			}
		default:
			err = option.Unknown(d, "recovery", "window", "max_bytes", "max_packets", "store")
		}
		return err
	})
}

// checkStore refuses a store that is not there.
func checkStore(store string) error {
	if store == storeMemory || store == storeStorage {
		return nil
	}
	return fmt.Errorf("recovery has no store %q: there are memory, which keeps everything for as long as the process runs, "+
		"and storage, which also writes it to Caddy's storage, for the process that comes next", store)
}

// Provision fills in the defaults, and checks what there is. Nil stays nil.
func (o *Options) Provision(t *option.Resolver) {
	if o == nil {
		return
	}
	t.Duration("recovery window", &o.Window, recovery.DefaultWindow)
	t.Size("recovery max_bytes", &o.MaxBytes, recovery.DefaultMaxBytes, minMaxBytes)
	if o.MaxPackets < 0 {
		t.Check(fmt.Errorf("recovery max_packets must not be negative, is %d", o.MaxPackets))
	}
	if o.MaxPackets == 0 {
		o.MaxPackets = recovery.DefaultMaxPackets
	}
	t.Text("recovery store", &o.Store, storeMemory)
	t.Check(checkStore(o.Store))
}

// Kept is what a server is told. It is nothing where there is no block.
func (o *Options) Kept() recovery.Options {
	if o == nil {
		return recovery.Options{}
	}
	return recovery.Options{
		Window: time.Duration(o.Window), MaxBytes: o.MaxBytes, MaxPackets: o.MaxPackets, Outlives: o.Outlives(),
	}
}

// Outlives reports whether what is kept outlives the process.
func (o *Options) Outlives() bool { return o != nil && o.Store == storeStorage }
