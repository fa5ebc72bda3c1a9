package wire

import (
	"testing"

	"github.com/gobwas/ws"
)

// must stops the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expect fails the test when two values differ.
func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// text builds a message of one text packet.
func text(content string) *Message {
	return New([][]byte{[]byte(content)}, nil, 0)
}

// clientFrame is a frame as a client sends it.
func clientFrame(op ws.OpCode, fin bool, payload string) []byte {
	frame, _ := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload))))
	return frame
}
