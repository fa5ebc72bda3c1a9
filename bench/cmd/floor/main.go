// Command floor runs the server of package floor. With -mode one, each frame is one write for each
// receiver; with -mode joined, a worker writes all that is pending for a receiver at once.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/caddy-socketio/socketio-stream/bench/floor"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run() error {
	mode := flag.String("mode", "one", "one: a write for each frame and receiver; joined: a write for all that is pending")
	certificate := flag.String("cert", "", "certificate file; with -key, connections are encrypted")
	key := flag.String("key", "", "key file of the certificate")
	workers := flag.Int("workers", 4, "goroutines that write (joined)")
	flag.Parse()

	var server *floor.Server
	switch *mode {
	case "one":
		server = floor.NewOne()
	case "joined":
		server = floor.NewJoined(*workers)
	default:
		return fmt.Errorf("unknown mode %q", *mode)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	address := listener.Addr()
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			return err
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}})
	}
	// The parent reads the chosen port from this line.
	fmt.Println("listening", address)
	return server.Serve(listener)
}
