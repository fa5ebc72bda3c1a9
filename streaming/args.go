package streaming

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
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

func attachmentOf(value json.RawMessage, attachments [][]byte) ([]byte, bool) {
	number, ok := placeholderNumber(value)
	if !ok || number < 0 || number >= len(attachments) {
		return nil, false
	}
	return attachments[number], true
}

// Object is a JSON object among arguments. Names are compared exactly, and of
// equal names the last counts, as in every JavaScript client: what this server
// checks is what they will read.
type Object struct {
	raw         json.RawMessage
	attachments [][]byte
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

// Text returns the value of a field that is a string.
func (o Object) Text(name string) (text string, ok bool) { return unquote(o.Field(name)) }

// Binary returns the attachment of a field that is binary.
func (o Object) Binary(name string) (data []byte, ok bool) {
	return attachmentOf(o.Field(name), o.attachments)
}

// NewArgs encodes values as arguments, each as encoding/json has it. An error
// is that of encoding/json. For binary values use an [ArgsBuilder].
func NewArgs(values ...any) (Args, error) {
	var b ArgsBuilder
	for _, value := range values {
		b.Add(value)
	}
	return b.Args()
}

// ArgsBuilder puts arguments together, binary ones among them. Its zero value
// is ready to use.
type ArgsBuilder struct {
	list        bytes.Buffer
	attachments [][]byte
	err         error
}

// Placeholder stands for a binary attachment within a value given to
// [ArgsBuilder.Add].
type Placeholder struct{ number int }

// MarshalJSON implements json.Marshaler.
func (p Placeholder) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"_placeholder":true,"num":%d}`, p.number), nil
}

// Binary adds an attachment. Its placeholder is to be used once, as an
// argument or anywhere within one. data must not change any more.
func (b *ArgsBuilder) Binary(data []byte) Placeholder {
	b.attachments = append(b.attachments, data)
	return Placeholder{number: len(b.attachments) - 1}
}

// Add appends an argument, encoded as encoding/json has it.
func (b *ArgsBuilder) Add(value any) {
	encoded, err := json.Marshal(value)
	if err != nil {
		if b.err == nil {
			b.err = err
		}
		return
	}
	if b.list.Len() > 0 {
		b.list.WriteByte(',')
	}
	b.list.Write(encoded)
}

// Args returns what was added, or the first error of encoding.
func (b *ArgsBuilder) Args() (Args, error) {
	if b.err != nil {
		return Args{}, fmt.Errorf("encoding arguments: %w", b.err)
	}
	return Args{list: b.list.Bytes(), attachments: b.attachments}, nil
}
