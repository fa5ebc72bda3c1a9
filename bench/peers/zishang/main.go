// Command zishang is the streaming service on github.com/zishang520/socket.io: the same events as
// the other peers, in a module of its own, so that what that library pins reaches nobody else's
// build.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "zishang:", err)
		os.Exit(1)
	}
}

func run() error {
	options := socket.DefaultServerOptions()
	options.SetServeClient(false)
	options.SetPingInterval(milliseconds("PING_INTERVAL_MS", 25*time.Second))
	options.SetPingTimeout(milliseconds("PING_TIMEOUT_MS", 20*time.Second))
	options.SetMaxHttpBufferSize(1_000_000)

	server := socket.NewServer(nil, options)
	var seen counters
	if err := server.On("connection", func(clients ...any) {
		seen.connect(clients[0].(*socket.Socket))
	}); err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", server.ServeHandler(options))
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// A client that has gone while this is written needs no answer.
		_ = json.NewEncoder(w).Encode(map[string]any{
			"status":       "ok",
			"service":      "zishang",
			"connections":  server.Engine().ClientsCount(),
			"sockets":      server.Sockets().Sockets().Len(),
			"connected":    seen.connected.Load(),
			"disconnected": seen.disconnected.Load(),
			"twice":        seen.twice.Load(),
		})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	// The parent reads the chosen port from this line.
	fmt.Println("listening", listener.Addr())
	return http.Serve(listener, mux)
}

// subscribers sends a stream's data to those who joined it, in place of everyone.
var subscribers = os.Getenv("AUDIENCE") == "subscribers"

// counters make ghosts (sockets whose client is gone) and repeated disconnects visible from
// outside.
type counters struct {
	connected, disconnected, twice atomic.Int64
}

// connect attaches the events of the wire contract.
func (c *counters) connect(client *socket.Socket) {
	c.connected.Add(1)
	var gone atomic.Bool
	listeners := map[string]types.EventListener{
		"stream:start": func(arguments ...any) {
			report(client.Emit("stream:started", map[string]any{"status": "ok", "streamId": streamID(arguments)}))
		},
		"stream:data": func(arguments ...any) {
			audience := client.Broadcast()
			if subscribers {
				audience = client.To(roomOf(arguments))
			}
			report(audience.Emit("stream:data", arguments...))
		},
		"stream:stop": func(arguments ...any) {
			report(client.Emit("stream:stopped", map[string]any{"status": "ok", "streamId": streamID(arguments)}))
		},
		"message": func(arguments ...any) {
			report(client.Broadcast().Emit("message", arguments...))
		},
		"stream:join": func(arguments ...any) {
			client.Join(roomOf(arguments))
			if answer, asked := arguments[len(arguments)-1].(socket.Ack); asked {
				answer([]any{map[string]any{"success": true, "stream": map[string]any{"streamId": streamID(arguments)}}}, nil)
			}
		},
		"disconnect": func(...any) {
			c.disconnected.Add(1)
			if gone.Swap(true) {
				c.twice.Add(1)
			}
		},
	}
	for event, listener := range listeners {
		report(client.On(event, listener))
	}
}

// report tells an error where the server's other words go.
func report(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "zishang:", err)
	}
}

func roomOf(arguments []any) socket.Room {
	return socket.Room(fmt.Sprint("stream:", streamID(arguments)))
}

func streamID(arguments []any) any {
	if len(arguments) == 0 {
		return nil
	}
	stream, _ := arguments[0].(map[string]any)
	return stream["streamId"]
}

func milliseconds(name string, otherwise time.Duration) time.Duration {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return time.Duration(n) * time.Millisecond
	}
	return otherwise
}
