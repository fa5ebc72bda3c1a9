package echo

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

func init() {
	caddy.RegisterModule(new(Cluster))
}

// Cluster is the event set http.handlers.socketio_stream.events.cluster, by which a client has the
// server do what concerns the sockets of all servers:
//
//	do  operation, args...  acknowledged with what it returns
//
// What other servers tell by "figures" is sent to each client as "told".
type Cluster struct{}

// CaddyModule returns the Caddy module information.
func (*Cluster) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.socketio_stream.events.cluster",
		New: func() caddy.Module { return new(Cluster) },
	}
}

// UnmarshalCaddyfile sets up the event set, which has no options.
func (*Cluster) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the set
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// operation is what a client wants to have done.
type operation struct {
	Name   string   `json:"name"`
	Event  string   `json:"event"`
	Rooms  []string `json:"rooms"`
	Except []string `json:"except"`
	// Into are the rooms to join or to leave.
	Into     []string `json:"into"`
	Volatile bool     `json:"volatile"`
	Close    bool     `json:"close"`
}

// answered is one client's answer to a call.
type answered struct {
	ID     string   `json:"id"`
	Args   string   `json:"args"`
	Binary [][]byte `json:"binary"`
	Error  string   `json:"error"`
}

// found is a socket of any server.
type found struct {
	ID      string   `json:"id"`
	Rooms   []string `json:"rooms"`
	Address string   `json:"address"`
}

// Register implements streaming.EventSet.
func (*Cluster) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	err := h.OnTell("figures", func(args packet.Args) {
		for _, s := range n.Everyone().Sockets() {
			_ = s.EmitArgs("told", args)
		}
	})
	if err != nil {
		return err
	}
	return h.On("do", func(e *streaming.Event) {
		var o operation
		if err := e.Decode(&o); err != nil {
			e.Refuse("invalid_operation", err.Error())
			return
		}
		result, err := do(e.Context(), n, o, e.Args.Skip(1))
		if err != nil {
			e.Refuse("failed", err.Error())
			return
		}
		answer, err := packet.NewArgs(result)
		if err != nil {
			e.Refuse("failed", err.Error())
			return
		}
		e.Ack.Reply(answer)
	})
}

func do(ctx context.Context, n *streaming.Namespace, o operation, args packet.Args) (any, error) {
	to := n.To(o.Rooms...).Except(o.Except...)
	switch o.Name {
	case "emit":
		var flags packet.Flags
		if o.Volatile {
			flags = packet.Volatile
		}
		return true, to.EmitArgs(o.Event, args, flags)
	case "call":
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		replies, err := to.Call(ctx, o.Event, args)
		list := []answered{}
		for _, r := range replies {
			a := answered{ID: r.SocketID, Args: string(r.Args.AppendJSON(nil)), Binary: r.Args.Attachments()}
			if r.Err != nil {
				a.Error = r.Err.Error()
			}
			list = append(list, a)
		}
		return list, err
	case "fetch":
		states, err := to.FetchSockets(ctx)
		list := []found{}
		for _, s := range states {
			list = append(list, found{s.ID, append([]string{}, s.Rooms...), s.Handshake.RemoteAddr})
		}
		return list, err
	case "join":
		to.Join(o.Into...)
	case "leave":
		to.Leave(o.Into...)
	case "disconnect":
		to.Disconnect(o.Close)
	case "tell":
		n.Tell(o.Event, args)
	}
	return true, nil
}

// Interface guards.
var (
	_ streaming.EventSet    = (*Cluster)(nil)
	_ caddyfile.Unmarshaler = (*Cluster)(nil)
)
