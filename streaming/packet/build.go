package packet

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
)

// NewArgs encodes values as arguments. Each is encoded as encoding/json does it,
// except that a []byte, wherever it stands within a value, is sent as binary
// data, and not as text in base64. A type with a MarshalJSON method writes
// what it has written. Binary data is not copied, and must not be changed while
// the arguments are in use.
//
// An [Object] is sent along with the attachments that it refers to. An [Args]
// among the values is [ErrArgs]. Any other error is that of encoding/json.
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
	return p.append(nil), nil
}

func (p Placeholder) append(dst []byte) []byte {
	return append(strconv.AppendInt(append(dst, `{"_placeholder":true,"num":`...), int64(p.number), 10), '}')
}

// Binary adds an attachment. Its placeholder is to be used once, as an
// argument or anywhere within one. data must not change any more.
func (b *ArgsBuilder) Binary(data []byte) Placeholder {
	b.attachments = append(b.attachments, data)
	return Placeholder{number: len(b.attachments) - 1}
}

// Add appends an argument, encoded as [NewArgs] does it.
func (b *ArgsBuilder) Add(value any) {
	if b.err != nil {
		return
	}
	b.separate()
	e := encoder{list: &b.list, attachments: &b.attachments}
	b.err = e.value(reflect.ValueOf(value), 0)
}

// separate ends the argument before the next one.
func (b *ArgsBuilder) separate() {
	if b.list.Len() > 0 {
		b.list.WriteByte(',')
	}
}

// Args returns what was added, or the first error of encoding.
func (b *ArgsBuilder) Args() (Args, error) {
	if b.err != nil {
		return Args{}, fmt.Errorf("encoding arguments: %w", b.err)
	}
	return Args{list: b.list.Bytes(), attachments: b.attachments}, nil
}
