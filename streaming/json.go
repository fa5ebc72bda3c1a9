package streaming

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
)

// maxDepth bounds how deep arrays and objects from a client may nest. Whoever
// decodes them further, here or at another client, may do so by recursion.
const maxDepth = 512

// validJSON reports whether data is one JSON value, nested no deeper than
// maxDepth.
func validJSON(data []byte) bool {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = stringEnd(data, i) - 1
		case '[', '{':
			if depth++; depth > maxDepth {
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
		i := skipSpace(object, skipSpace(object, 0)+1)
		for i < len(object) && object[i] == '"' {
			nameEnd := stringEnd(object, i)
			name, _ := unquote(object[i:nameEnd])
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

// placeholder is what stands in the JSON of a packet for one of its
// attachments. See "Sending and receiving data" in the Socket.IO protocol.
const placeholderName = "_placeholder"

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
		case "num":
			number = -1
			if n, err := strconv.Atoi(string(member)); err == nil && n >= 0 {
				number = n
			}
		}
	}
	return number, isPlaceholder
}

// countPlaceholders counts the placeholders in a valid JSON value. ok is false
// when one does not stand for one of the attachments.
func countPlaceholders(value []byte, attachments int) (count int, ok bool) {
	i := skipSpace(value, 0)
	switch {
	case i == len(value):
		return 0, true
	case value[i] == '[':
		for element := range elements(value[i+1 : valueEnd(value, i)-1]) {
			n, ok := countPlaceholders(element, attachments)
			if !ok {
				return 0, false
			}
			count += n
		}
	case value[i] == '{':
		if number, is := placeholderNumber(value[i:]); is {
			return 1, number >= 0 && number < attachments
		}
		for _, member := range members(value[i:]) {
			n, ok := countPlaceholders(member, attachments)
			if !ok {
				return 0, false
			}
			count += n
		}
	}
	return count, true
}
