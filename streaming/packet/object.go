package packet

import (
	"encoding/json"
	"errors"
	"slices"
)

// Object is a JSON object among arguments. Names are compared exactly, and of
// equal names the last counts, as in every JavaScript client: what this server
// checks is what they will read.
type Object struct {
	raw         json.RawMessage
	attachments [][]byte
}

var errNoObject = errors.New("no JSON object")

// NewObject returns a JSON object, ready to be looked into. An error means that
// data is none.
func NewObject(data []byte) (Object, error) {
	if i := skipSpace(data, 0); i == len(data) || data[i] != '{' || !validJSON(data) {
		return Object{}, errNoObject
	}
	return Object{raw: data}, nil
}

// JSON returns the object as it came. It must not be changed.
func (o Object) JSON() json.RawMessage {
	if o.raw == nil {
		return json.RawMessage("{}")
	}
	return o.raw
}

// Field returns the value of a field, or nil.
func (o Object) Field(name string) json.RawMessage {
	var found json.RawMessage
	for member, value := range quotedMembers(o.raw) {
		if isName(member, name) {
			found = value
		}
	}
	return found
}

// Without returns the object without the fields of some names. It is the same one if it has none of them.
func (o Object) Without(names ...string) Object {
	isNamed := func(member []byte) bool {
		return slices.ContainsFunc(names, func(name string) bool { return isName(member, name) })
	}
	kept, left := []byte{'{'}, false
	for member, value := range quotedMembers(o.raw) {
		if isNamed(member) {
			left = true
			continue
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(append(append(kept, member...), ':'), value...)
	}
	if !left {
		return o
	}
	return Object{raw: append(kept, '}'), attachments: o.attachments}
}

// Text returns the value of a field that is a string.
func (o Object) Text(name string) (text string, ok bool) { return unquote(o.Field(name)) }

// Binary returns the attachment of a field that is binary.
func (o Object) Binary(name string) (data []byte, ok bool) {
	return attachmentOf(o.Field(name), o.attachments)
}

// Object returns the value of a field that is itself an object.
func (o Object) Object(name string) (Object, bool) {
	value := o.Field(name)
	if len(value) == 0 || value[0] != '{' {
		return Object{}, false
	}
	return Object{raw: value, attachments: o.attachments}, true
}

func attachmentOf(value json.RawMessage, attachments [][]byte) ([]byte, bool) {
	number, ok := placeholderNumber(value)
	if !ok || number < 0 || number >= len(attachments) {
		return nil, false
	}
	return attachments[number], true
}
