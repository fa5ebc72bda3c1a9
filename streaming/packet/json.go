package packet

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
)

// MaxDepth bounds how deep arrays and objects from a client may nest. Whoever
// decodes them further, here or at another client, may do so by recursion.
const MaxDepth = 512

// validJSON reports whether data is one JSON value, nested no deeper than
// MaxDepth.
func validJSON(data []byte) bool {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = stringEnd(data, i) - 1
		case '[', '{':
			if depth++; depth > MaxDepth {
				return false
			}
		case ']', '}':
			depth--
		}
	}
	return json.Valid(data)
}

// stringEnd returns the index after the string that begins at data[i], or
// len(data) when it does not end.
func stringEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// valueEnd returns the index after the value that begins at data[i]. data must
// be valid JSON.
func valueEnd(data []byte, i int) int {
	switch data[i] {
	case '"':
		return stringEnd(data, i)
	case '[', '{':
		depth := 0
		for ; i < len(data); i++ {
			switch data[i] {
			case '"':
				i = stringEnd(data, i) - 1
			case '[', '{':
				depth++
			case ']', '}':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return len(data)
	default:
		for i < len(data) && !isDelimiter(data[i]) {
			i++
		}
		return i
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isDelimiter(c byte) bool { return c == ',' || c == ']' || c == '}' || c == ':' || isSpace(c) }

func skipSpace(data []byte, i int) int {
	for i < len(data) && isSpace(data[i]) {
		i++
	}
	return i
}

// elements yields the values of a comma-separated list: the inside of a valid
// JSON array.
func elements(list []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		for i := skipSpace(list, 0); i < len(list); {
			end := valueEnd(list, i)
			if !yield(json.RawMessage(list[i:end])) {
				return
			}
			i = skipSpace(list, end)
			if i < len(list) && list[i] == ',' {
				i = skipSpace(list, i+1)
			}
		}
	}
}

// members yields the names and values of a valid JSON object.
func members(object []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for quoted, value := range quotedMembers(object) {
			if name, _ := unquote(quoted); !yield(name, value) {
				return
			}
		}
	}
}

// quotedMembers is members with the names as they are written.
func quotedMembers(object []byte) iter.Seq2[[]byte, json.RawMessage] {
	return func(yield func([]byte, json.RawMessage) bool) {
		i := skipSpace(object, skipSpace(object, 0)+1)
		for i < len(object) && object[i] == '"' {
			nameEnd := stringEnd(object, i)
			name := object[i:nameEnd]
			i = skipSpace(object, skipSpace(object, nameEnd)+1)
			end := valueEnd(object, i)
			if !yield(name, json.RawMessage(object[i:end])) {
				return
			}
			i = skipSpace(object, end)
			if i < len(object) && object[i] == ',' {
				i = skipSpace(object, i+1)
			}
		}
	}
}

// unquote returns the content of a JSON string. ok is false when data is
// something else.
func unquote(data []byte) (text string, ok bool) {
	if len(data) < 2 || data[0] != '"' {
		return "", false
	}
	if inner := data[1 : len(data)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	err := json.Unmarshal(data, &text)
	return text, err == nil
}

// quote returns text as a JSON string.
func quote(text string) []byte {
	quoted, _ := json.Marshal(text)
	return quoted
}

// A placeholder is what stands in the JSON of a packet for one of its
// attachments: an object of these members. See "Sending and receiving data" in
// the Socket.IO protocol.
const (
	placeholderName = "_placeholder"
	numberName      = "num"
)

// placeholderNumber returns the number of the attachment that a value stands
// for. isPlaceholder is false when it is an ordinary value; the number is -1
// when it is a placeholder without a proper number.
func placeholderNumber(value []byte) (number int, isPlaceholder bool) {
	if len(value) == 0 || value[0] != '{' || !bytes.Contains(value, []byte("placeholder")) && !bytes.Contains(value, []byte(`\u`)) {
		return 0, false
	}
	number = -1
	for name, member := range members(value) {
		switch name {
		case placeholderName:
			isPlaceholder = string(member) == "true"
		case numberName:
			number = attachmentNumber(member)
		}
	}
	return number, isPlaceholder
}

// countPlaceholders counts the placeholders in a valid JSON value. ok is false
// when one does not stand for one of the attachments. What is within a
// placeholder does not count.
func countPlaceholders(value []byte, attachments int) (count int, ok bool) {
	i := skipSpace(value, 0)
	if i == len(value) {
		return 0, true
	}
	_, count, ok = placeholdersIn(value, i, attachments)
	return count, ok
}

// placeholdersIn counts the placeholders in the value that begins at data[i],
// and returns the index after it. It looks at each byte once, however deep the
// value is: a client must not be able to make this slow.
func placeholdersIn(data []byte, i, attachments int) (end, count int, ok bool) {
	ok = true
	inObject := data[i] == '{'
	if !inObject && data[i] != '[' {
		return valueEnd(data, i), 0, true
	}
	isPlaceholder, number := false, -1
	for i = skipSpace(data, i+1); data[i] != ']' && data[i] != '}'; {
		var name []byte
		if inObject {
			name = data[i:stringEnd(data, i)]
			i = skipSpace(data, skipSpace(data, i+len(name))+1)
		}
		begin := i
		var n int
		var valid bool
		i, n, valid = placeholdersIn(data, begin, attachments)
		count, ok = count+n, ok && valid
		switch {
		case isName(name, placeholderName):
			isPlaceholder = string(data[begin:i]) == "true"
		case isName(name, numberName):
			number = attachmentNumber(data[begin:i])
		}
		if i = skipSpace(data, i); data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	if isPlaceholder {
		return i + 1, 1, number >= 0 && number < attachments
	}
	return i + 1, count, ok
}

// isName reports whether a JSON string means a name. It is false for nil.
func isName(quoted []byte, name string) bool {
	if len(quoted) == len(name)+2 {
		return string(quoted[1:len(quoted)-1]) == name
	}
	if len(quoted) < len(name)+2 || len(quoted) > len(`\u0000`)*len(name)+2 || bytes.IndexByte(quoted, '\\') < 0 {
		return false
	}
	text, ok := unquote(quoted)
	return ok && text == name
}

// attachmentNumber returns the number of an attachment, or -1 when it is none.
func attachmentNumber(value []byte) int {
	if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 {
		return n
	}
	return -1
}
