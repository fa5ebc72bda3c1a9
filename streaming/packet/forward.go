package packet

import (
	"bytes"
	"encoding/json"
)

// Forward takes the value of a field over from what a client sent, along with
// the attachments that it refers to and no others. The value is for
// [ArgsBuilder.AddJSON]; nil when there is no such field. ok is false when it
// refers to an attachment that is not there, or to one twice: then nothing of
// what is built must be used.
func (b *ArgsBuilder) Forward(o Object, name string) (value json.RawMessage, ok bool) {
	return b.forward(o.Field(name), o.attachments)
}

// ForwardValue is Forward for an argument, or a value within one, of those that a client sent.
func (b *ArgsBuilder) ForwardValue(from Args, value json.RawMessage) (forwarded json.RawMessage, ok bool) {
	return b.forward(value, from.attachments)
}

func (b *ArgsBuilder) forward(from json.RawMessage, attachments [][]byte) (value json.RawMessage, ok bool) {
	if !mayHoldPlaceholder(from) {
		return from, true
	}
	f := forwarder{data: from, from: attachments, to: b.attachments}
	value, _ = f.value(make([]byte, 0, len(from)+16), 0)
	b.attachments = f.to
	return value, !f.failed
}

// AddJSON appends an argument that is valid JSON already, such as one that
// holds what [ArgsBuilder.Forward] has returned.
func (b *ArgsBuilder) AddJSON(value json.RawMessage) {
	b.separate()
	b.list.Write(value)
}

// mayHoldPlaceholder is false for nearly all values that hold none.
func mayHoldPlaceholder(value []byte) bool {
	return bytes.Contains(value, []byte("placeholder")) || bytes.Contains(value, []byte(`\u`))
}

// forwarder copies a value and gives its placeholders the numbers that their
// attachments have in another list.
type forwarder struct {
	data     []byte
	from, to [][]byte
	// used has a bit for each attachment that was taken over.
	used   uint64
	failed bool
}

// value appends the value that begins at data[i] to dst, and returns the index
// after it. Each byte is looked at once, however deep the value is.
func (f *forwarder) value(dst []byte, i int) (copied []byte, end int) {
	data := f.data
	inObject := data[i] == '{'
	if !inObject && data[i] != '[' {
		end = valueEnd(data, i)
		return append(dst, data[i:end]...), end
	}
	begin, taken, used, failed := len(dst), len(f.to), f.used, f.failed
	dst = append(dst, data[i])
	isPlaceholder, number := false, -1
	for i = skipSpace(data, i+1); data[i] != ']' && data[i] != '}'; {
		var name []byte
		if inObject {
			name = data[i:stringEnd(data, i)]
			dst = append(append(dst, name...), ':')
			i = skipSpace(data, skipSpace(data, i+len(name))+1)
		}
		member := i
		dst, i = f.value(dst, i)
		switch {
		case isName(name, placeholderName):
			isPlaceholder = string(data[member:i]) == "true"
		case isName(name, numberName):
			number = attachmentNumber(data[member:i])
		}
		if i = skipSpace(data, i); data[i] == ',' {
			dst = append(dst, ',')
			i = skipSpace(data, i+1)
		}
	}
	if !isPlaceholder {
		return append(dst, data[i]), i + 1
	}
	// What is within a placeholder does not count.
	f.to, f.used, f.failed = f.to[:taken], used, failed
	placeholder := f.take(number)
	return append(dst[:begin], placeholder...), i + 1
}

// take takes an attachment over and returns its placeholder.
func (f *forwarder) take(number int) []byte {
	if number < 0 || number >= len(f.from) || number >= 64 || f.used&(1<<number) != 0 {
		f.failed = true
		return []byte("null")
	}
	f.used |= 1 << number
	f.to = append(f.to, f.from[number])
	return Placeholder{number: len(f.to) - 1}.append(nil)
}
