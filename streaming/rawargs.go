package streaming

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ParseArgs makes arguments of the elements of a JSON array, which are passed
// on as they are written. None of them is binary: for that use an
// [ArgsBuilder]. An error says what is wrong with the array. The arguments
// share its memory.
func ParseArgs(array []byte) (Args, error) {
	array = bytes.TrimSpace(array)
	switch {
	case len(array) == 0 || array[0] != '[':
		return Args{}, errors.New("arguments must be a JSON array")
	case !utf8.Valid(array):
		// A WebSocket client would close the connection over it.
		return Args{}, errors.New("arguments are not valid UTF-8")
	case !validJSON(array):
		return Args{}, fmt.Errorf("arguments are not valid JSON, or nest deeper than %d levels", maxDepth)
	}
	return Args{list: bytes.TrimSpace(array[1 : len(array)-1])}, nil
}

// AppendJSON appends the arguments to dst as a JSON array. Where one is binary
// its placeholder stands, {"_placeholder":true,"num":n}; see Attachments.
func (a Args) AppendJSON(dst []byte) []byte {
	return append(append(append(dst, '['), a.list...), ']')
}

// Attachments are the binary arguments, in the order of their placeholders.
// They must not be changed.
func (a Args) Attachments() [][]byte { return a.attachments }
