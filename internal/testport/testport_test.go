package testport

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestReserve(t *testing.T) {
	seen := make(map[string]bool)
	for range 50 {
		port := Reserve(t)
		if seen[port] {
			t.Errorf("%s was given out twice", port)
		}
		seen[port] = true
		listener, err := net.Listen("tcp", net.JoinHostPort(loopback, port))
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
}

func TestSilent(t *testing.T) {
	address := Silent(t)
	if conn, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s answers: %v, %v", address, conn, err)
	}
	if listener, err := net.Listen("tcp", address); err == nil {
		_ = listener.Close()
		t.Errorf("%s can be listened on", address)
	}
}
