// Package stack starts and ends the servers that the benchmark compares, each on free loopback
// ports.
package stack

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Binaries are where the programs are that stacks are made of.
type Binaries struct {
	// Caddy is a Caddy with this module.
	Caddy string
	// Floor and Zishang are the programs of bench/cmd/floor and bench/peers/zishang.
	Floor, Zishang string
	// Node is the folder of the Node peer, its packages installed.
	Node string
}

// Settings are what all stacks are given alike.
type Settings struct {
	PingInterval, PingTimeout time.Duration
	// Subscribers sends a stream's data to those who joined it, in place of everyone.
	Subscribers bool
	// Limited gives this module a hub_buffer of HubBuffer, compression and a second namespace,
	// /apart, and makes it limit clients on loopback as it does others.
	Limited bool
}

// Stack is one way to serve the streaming events.
type Stack struct {
	// Name is what the table calls it.
	Name string
	// TLS tells whether clients reach it encrypted.
	TLS bool
	// Floor tells that it only writes frames: it has no heartbeat, no limits, and takes no part
	// where those count.
	Floor bool
	// Without names the stack that is the same but for compression, which this one has switched on.
	// Empty: this one has it switched off.
	Without string

	start func(*starter) error
}

// All are the stacks in the order of the table.
var All = []Stack{
	{Name: "this module, TLS", TLS: true, start: startModule},
	{Name: "this module, TLS, compression", TLS: true, Without: "this module, TLS", start: startModule},
	{Name: "nginx + Node, TLS", TLS: true, start: startNginx},
	{Name: "nginx + Node, TLS, compression", TLS: true, Without: "nginx + Node, TLS", start: startNginx},
	{Name: "Caddy + Node, TLS", TLS: true, start: startCaddyProxy},
	{Name: "floor one, TLS", TLS: true, Floor: true, start: startFloor("one")},
	{Name: "floor joined, TLS", TLS: true, Floor: true, start: startFloor("joined")},
	{Name: "this module", start: startModule},
	{Name: "Node", start: startNodeAlone},
	{Name: "zishang", start: startZishang},
	{Name: "floor one", Floor: true, start: startFloor("one")},
	{Name: "floor joined", Floor: true, start: startFloor("joined")},
}

// Running is a stack that answers.
type Running struct {
	// URL is where clients connect.
	URL string
	// Profile is where a stack that can be profiled serves Go's profiles; empty for one that
	// cannot.
	Profile string
	// PIDs are the processes that were started; their children belong to the stack too.
	PIDs []int

	starter *starter
}

// Stop ends every process of the stack and removes its files.
func (r *Running) Stop() error { return r.starter.stop() }

// Start starts a stack and waits until it answers.
func Start(ctx context.Context, s Stack, binaries Binaries, settings Settings) (*Running, error) {
	dir, err := os.MkdirTemp("", "socketio-bench-*")
	if err != nil {
		return nil, err
	}
	st := &starter{dir: dir, tls: s.TLS, compression: s.Without != "", binaries: binaries, settings: settings}
	err = s.start(st)
	if err == nil {
		err = st.awaitHealth(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w%s", s.Name, err, st.lastWords())
		_ = st.stop()
		return nil, err
	}
	scheme := "http"
	if s.TLS {
		scheme = "https"
	}
	running := &Running{URL: scheme + "://" + st.address + "/socket.io/", PIDs: st.pids(), starter: st}
	if st.admin != "" {
		running.Profile = "http://" + st.admin + "/debug/pprof/"
	}
	return running, nil
}

// readyTimeout is how long a stack may take to answer.
const readyTimeout = 20 * time.Second

// awaitHealth asks for /health until it is answered. Through a proxy that needs the server behind
// it too.
func (st *starter) awaitHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	scheme := "http"
	if st.tls {
		scheme = "https"
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	_, port, err := net.SplitHostPort(st.address)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+st.address+"/health", nil)
		if err != nil {
			return err
		}
		request.Host = "localhost:" + port
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/health answers %s", response.Status)
		}
		if failed := st.ended(); failed != nil {
			return failed
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v: %w", readyTimeout, err)
		}
	}
}

// freeAddress picks a loopback port that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

func (st *starter) write(name, content string) (string, error) {
	path := filepath.Join(st.dir, name)
	return path, os.WriteFile(path, []byte(content), 0o600)
}

// HubBuffer is the hub_buffer, in bytes, of a stack that is Limited: small enough for attacks to
// come to it.
const HubBuffer = 256_000_000
