package packet

import (
	"bytes"
	"encoding/json"
	"fmt"
)

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
