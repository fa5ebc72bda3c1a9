package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"
)

// Args are the arguments of an event or of an acknowledgement: JSON values in
// which placeholders stand for binary attachments. The zero value is no
// arguments. Args are immutable; what their methods return must not be
// changed.
type Args struct {
	// list holds the values, comma-separated, without brackets.
	list        []byte
	attachments [][]byte
}

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
		return Args{}, fmt.Errorf("arguments are not valid JSON, or nest deeper than %d levels", MaxDepth)
	}
	return Args{list: bytes.TrimSpace(array[1 : len(array)-1])}, nil
}

// All yields the arguments in order.
func (a Args) All() iter.Seq[json.RawMessage] { return elements(a.list) }

// At returns the i-th argument, or nil when there are fewer.
func (a Args) At(i int) json.RawMessage {
	for value := range a.All() {
		if i == 0 {
			return value
		}
		i--
	}
	return nil
}

// Skip returns the arguments without the first n. The attachments stay as long
// as one of the others refers to any.
func (a Args) Skip(n int) Args {
	rest := a.list
	for range n {
		i := skipSpace(rest, 0)
		if i == len(rest) {
			break
		}
		if i = skipSpace(rest, valueEnd(rest, i)); i < len(rest) {
			i++ // the comma
		}
		rest = rest[i:]
	}
	return a.withList(rest)
}

// withList returns arguments of other values with the same attachments, if
// the values refer to any.
func (a Args) withList(list []byte) Args {
	rest := Args{list: list, attachments: a.attachments}
	if len(a.attachments) > 0 {
		if n, _ := countPlaceholders(fmt.Appendf(nil, "[%s]", list), len(a.attachments)); n == 0 {
			rest.attachments = nil
		}
	}
	return rest
}

// Len is the number of arguments.
func (a Args) Len() int {
	n := 0
	for range a.All() {
		n++
	}
	return n
}

// Clone returns a copy of its own: arguments that came from a client may share
// their memory with whatever came with them.
func (a Args) Clone() Args {
	clone := Args{list: bytes.Clone(a.list)}
	for _, attachment := range a.attachments {
		clone.attachments = append(clone.attachments, bytes.Clone(attachment))
	}
	return clone
}

// Object returns the i-th argument if it is a JSON object.
func (a Args) Object(i int) (Object, bool) {
	value := a.At(i)
	if len(value) == 0 || value[0] != '{' {
		return Object{}, false
	}
	return Object{raw: value, attachments: a.attachments}, true
}

// Binary returns the attachment that a value stands for. ok is false when the
// value is not a placeholder.
func (a Args) Binary(value json.RawMessage) (data []byte, ok bool) {
	return attachmentOf(value, a.attachments)
}

// Size is the number of bytes of the arguments, attachments included.
func (a Args) Size() int {
	size := len(a.list)
	for _, attachment := range a.attachments {
		size += len(attachment)
	}
	return size
}

// Of returns arguments of one value, which must be among these or within one
// of them. The attachments stay if it refers to any.
func (a Args) Of(value json.RawMessage) Args { return a.withList(value) }

// List returns the values of the i-th argument if it is an array.
func (a Args) List(i int) (values iter.Seq[json.RawMessage], ok bool) {
	value := a.At(i)
	if len(value) == 0 || value[0] != '[' {
		return nil, false
	}
	return elements(value[1 : len(value)-1]), true
}

// AppendJSON appends the arguments to dst as a JSON array. Where one is binary
// its placeholder stands, {"_placeholder":true,"num":n}; see Attachments.
func (a Args) AppendJSON(dst []byte) []byte {
	return append(append(append(dst, '['), a.list...), ']')
}

// Attachments are the binary arguments, in the order of their placeholders.
// They must not be changed.
func (a Args) Attachments() [][]byte { return a.attachments }
