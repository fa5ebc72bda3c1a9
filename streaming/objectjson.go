package streaming

import (
	"encoding/json"
	"errors"
)

// JSON returns the object as it came. It must not be changed.
func (o Object) JSON() json.RawMessage {
	if o.raw == nil {
		return json.RawMessage("{}")
	}
	return o.raw
}

// NewObject returns a JSON object, ready to be looked into. An error means that
// data is none.
func NewObject(data []byte) (Object, error) {
	if i := skipSpace(data, 0); i == len(data) || data[i] != '{' || !validJSON(data) {
		return Object{}, errors.New("no JSON object")
	}
	return Object{raw: data}, nil
}
