// Package testport gives tests ports of the loopback interface: some for what
// must be told its port, others on which nobody answers. Nothing but tests
// imports it.
//
// A port that is asked of the system and given back is anybody's until it is
// listened on. What this package gives out is the test's until the test ends.
package testport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// The ports that Reserve gives out lie below the range from which the system
// serves whoever asks for any port.
const (
	first = 20_000
	count = 12_000
)

// attempts is how many ports Reserve looks at, at most.
const attempts = 500

// The addresses of the loopback interface: the ports of the first one are given
// out, and claimed by listening on the same port of the other.
const (
	loopback = "127.0.0.1"
	claiming = "127.0.0.2"
)

// Reserve returns a port of 127.0.0.1 on which the test can have a program
// listen, for TCP and for UDP. No test of this repository gets it meanwhile, in
// this process or another: the end-to-end tests have the same rule, see
// e2e/lib/ports.mjs.
func Reserve(t testing.TB) string {
	t.Helper()
	for range attempts {
		port := strconv.Itoa(first + rand.IntN(count))
		release, err := listen(net.JoinHostPort(claiming, port))
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			// Where there is one loopback address alone, nothing can be claimed.
			release, err = func() {}, nil
		}
		if err != nil {
			continue
		}
		probed, err := listen(net.JoinHostPort(loopback, port))
		if err != nil {
			release()
			continue
		}
		probed()
		t.Cleanup(release)
		return port
	}
	t.Fatal("no port is free")
	return ""
}

// listen takes an address for TCP and UDP, or neither.
func listen(address string) (release func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return func() {
		_ = listener.Close()
		_ = socket.Close()
	}, nil
}

// Silent returns an address of the loopback interface that refuses connections:
// it is that of the one end of a connection, where nobody can listen.
func Silent(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}
