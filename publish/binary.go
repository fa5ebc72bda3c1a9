package publish

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// In arguments, an object with one of these names alone stands for binary data: with the data in
// base64, or with the name of the part of the body that has it.
const (
	inBase64    = "$binary"
	inPart      = "$part"
	placeholder = "_placeholder"
)

// maxBinaryDepth is how deep arrays and objects may nest around what may be binary data.
const maxBinaryDepth = 64

// argsOf makes arguments of a JSON array. What is not binary stays as it is written.
func argsOf(array json.RawMessage, parts map[string][]byte) (packet.Args, error) {
	args, err := packet.ParseArgs(array)
	if err != nil || !bytes.ContainsAny(array, `$\`) {
		return args, err
	}
	b := binaries{parts: parts}
	for value := range args.All() {
		written, err := b.append(nil, value)
		if err != nil {
			return packet.Args{}, err
		}
		b.builder.AddJSON(written)
	}
	if !b.found {
		return args, nil
	}
	return b.builder.Args()
}

// binaries puts placeholders where binary data is.
type binaries struct {
	parts   map[string][]byte
	builder packet.ArgsBuilder
	found   bool
	// depth is how deep the value is that is looked at.
	depth int
}

// append appends a value, with placeholders in it.
func (b *binaries) append(dst []byte, value json.RawMessage) ([]byte, error) {
	value = bytes.TrimSpace(value)
	if !bytes.ContainsAny(value, `$\`) {
		return append(dst, value...), nil
	}
	if value[0] != '[' && value[0] != '{' {
		return append(dst, value...), nil
	}
	// Each level is read once more.
	if b.depth == maxBinaryDepth {
		return nil, fmt.Errorf("what has a $ or a backslash in it nests deeper than %d levels", maxBinaryDepth)
	}
	b.depth++
	defer func() { b.depth-- }()
	if value[0] == '[' {
		return b.appendList(dst, value)
	}
	return b.appendObject(dst, value)
}

func (b *binaries) appendList(dst []byte, value json.RawMessage) (_ []byte, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return nil, err
	}
	dst = append(dst, '[')
	for i, element := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = b.append(dst, element); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func (b *binaries) appendObject(dst []byte, value json.RawMessage) (_ []byte, err error) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	if _, err := decoder.Token(); err != nil { // the brace
		return nil, err
	}
	begin := len(dst)
	dst = append(dst, '{')
	special := ""
	for members := 0; decoder.More(); members++ {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		var member json.RawMessage
		if err := decoder.Decode(&member); err != nil {
			return nil, err
		}
		if name == inBase64 || name == inPart {
			special = name
		}
		if special != "" && members > 0 {
			return nil, fmt.Errorf("an object with %q has nothing else in it", special)
		}
		if special != "" {
			data, err := b.data(name, member)
			if err != nil {
				return nil, err
			}
			b.found = true
			if dst, err = appendJSON(dst[:begin], b.builder.Binary(data)); err != nil {
				return nil, err
			}
			continue
		}
		if name == placeholder {
			return nil, fmt.Errorf("%q is how clients are told of binary data, and cannot be sent: write %q or %q", placeholder, inBase64, inPart)
		}
		if members > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, name); err != nil {
			return nil, err
		}
		if dst, err = b.append(append(dst, ':'), member); err != nil {
			return nil, err
		}
	}
	if special != "" {
		return dst, nil
	}
	return append(dst, '}'), nil
}

// data is the binary data that a member of that name stands for.
func (b *binaries) data(name string, member json.RawMessage) ([]byte, error) {
	var text *string
	if err := json.Unmarshal(member, &text); err != nil || text == nil {
		return nil, fmt.Errorf("%q must be a string", name)
	}
	if name == inPart {
		data, ok := b.parts[*text]
		if !ok {
			return nil, fmt.Errorf("%q: the body has no part %.64q", inPart, *text)
		}
		return data, nil
	}
	data, err := base64.StdEncoding.DecodeString(*text)
	if at := base64.CorruptInputError(0); errors.As(err, &at) {
		return nil, fmt.Errorf("%q is not base64 (RFC 4648, section 4) at byte %d", inBase64, int64(at))
	}
	return data, err
}

func appendJSON(dst []byte, value any) ([]byte, error) {
	encoded, err := json.Marshal(value)
	return append(dst, encoded...), err
}
