package redis

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// The MessagePack forms that are written and read. See the MessagePack specification, "Formats".
const (
	fixMap                   = 0x80
	fixArray                 = 0x90
	fixStr                   = 0xa0
	nilForm                  = 0xc0
	falseForm, trueForm      = 0xc2, 0xc3
	bin8, bin16, bin32       = 0xc4, 0xc5, 0xc6
	ext8, ext16, ext32       = 0xc7, 0xc8, 0xc9
	float32Form, float64Form = 0xca, 0xcb
	uint8Form, uint16Form    = 0xcc, 0xcd
	uint32Form, uint64Form   = 0xce, 0xcf
	int8Form, int16Form      = 0xd0, 0xd1
	int32Form, int64Form     = 0xd2, 0xd3
	fixExt1, fixExt16        = 0xd4, 0xd8
	str8, str16, str32       = 0xd9, 0xda, 0xdb
	array16, array32         = 0xdc, 0xdd
	map16, map32             = 0xde, 0xdf
	negativeFixInt           = 0xe0
)

var (
	errTooDeep  = errors.New("it nests too deep")
	errTooLarge = errors.New("it is larger than max_message")
	errNotJSON  = errors.New("arguments are not valid JSON")
)

// appendUint appends a whole number in the shortest form, as the reference implementation does.
func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < fixMap:
		return append(dst, byte(n))
	case n <= math.MaxUint8:
		return append(dst, uint8Form, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, uint16Form), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, uint32Form), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, uint64Form), n)
	}
}

// appendInt is appendUint for numbers of either sign.
func appendInt(dst []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(dst, uint64(n))
	case n >= -32:
		return append(dst, byte(n)) //nolint:gosec // the form is the number's two's complement
	case n >= math.MinInt8:
		return append(dst, int8Form, byte(n)) //nolint:gosec // as above
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, int16Form), uint16(n)) //nolint:gosec // as above
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, int32Form), uint32(n)) //nolint:gosec // as above
	default:
		return binary.BigEndian.AppendUint64(append(dst, int64Form), uint64(n)) //nolint:gosec // as above
	}
}

// appendHead appends what stands before so many elements or bytes. fix is the form of less than most
// of them, or 0 where there is none; small, with 8 bits, is 0 where there is none.
func appendHead(dst []byte, n, most int, fix, small, medium, large byte) []byte {
	switch {
	case fix != 0 && n < most:
		return append(dst, fix|byte(n)) //nolint:gosec // less than most
	case small != 0 && n <= math.MaxUint8:
		return append(dst, small, byte(n)) //nolint:gosec // as checked
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, medium), uint16(n)) //nolint:gosec // as checked
	default:
		return binary.BigEndian.AppendUint32(append(dst, large), uint32(n)) //nolint:gosec // a length in memory
	}
}

func appendStr(dst []byte, text string) []byte {
	return append(appendHead(dst, len(text), 32, fixStr, str8, str16, str32), text...)
}

func appendBin(dst, data []byte) []byte {
	return append(appendHead(dst, len(data), 0, 0, bin8, bin16, bin32), data...)
}

func appendArray(dst []byte, n int) []byte {
	return appendHead(dst, n, 16, fixArray, 0, array16, array32)
}

func appendMap(dst []byte, n int) []byte { return appendHead(dst, n, 16, fixMap, 0, map16, map32) }

func appendStrs(dst []byte, list []string) []byte {
	dst = appendArray(dst, len(list))
	for _, text := range list {
		dst = appendStr(dst, text)
	}
	return dst
}

// encoder turns JSON, in which placeholders stand for attachments, into MessagePack.
type encoder struct {
	json        []byte
	attachments [][]byte
	dst         []byte
	// most is how long dst may become: an attachment may be used more than once.
	most int
}

// appendArgs appends the arguments, without a head.
func appendArgs(dst []byte, args packet.Args, most int) (encoded []byte, n int, err error) {
	e := encoder{attachments: args.Attachments(), dst: dst, most: most}
	for value := range args.All() {
		e.json = value
		if _, err := e.value(0, 0); err != nil {
			return dst, 0, err
		}
		n++
	}
	return e.dst, n, nil
}

// value appends the value that begins at json[i] and returns the index after it.
func (e *encoder) value(i, depth int) (end int, err error) {
	if depth > packet.MaxDepth {
		return 0, errTooDeep
	}
	if len(e.dst) > e.most {
		return 0, errTooLarge
	}
	if i >= len(e.json) {
		return 0, errNotJSON
	}
	switch e.json[i] {
	case '"':
		end, err = e.string(i)
	case '[':
		return e.array(i, depth)
	case '{':
		return e.object(i, depth)
	case 'n':
		e.dst, end = append(e.dst, nilForm), i+len("null")
	case 't':
		e.dst, end = append(e.dst, trueForm), i+len("true")
	case 'f':
		e.dst, end = append(e.dst, falseForm), i+len("false")
	default:
		return e.number(i)
	}
	return end, err
}

func (e *encoder) string(i int) (end int, err error) {
	text, end, err := e.text(i)
	e.dst = appendStr(e.dst, text)
	return end, err
}

// text returns the string that begins at json[i].
func (e *encoder) text(i int) (text string, end int, err error) {
	if i >= len(e.json) || e.json[i] != '"' {
		return "", 0, errNotJSON
	}
	escaped := false
	for end = i + 1; end < len(e.json) && e.json[end] != '"'; end++ {
		if e.json[end] == '\\' {
			escaped = true
			end++
		}
	}
	if end >= len(e.json) {
		return "", 0, errNotJSON
	}
	end++
	if !escaped {
		return string(e.json[i+1 : end-1]), end, nil
	}
	err = json.Unmarshal(e.json[i:end], &text)
	return text, end, err
}

func (e *encoder) number(i int) (end int, err error) {
	whole := true
	for end = i; end < len(e.json); end++ {
		switch c := e.json[end]; {
		case c == '.' || c == 'e' || c == 'E':
			whole = false
			continue
		case c == '-' || c == '+' || '0' <= c && c <= '9':
			continue
		}
		break
	}
	text := string(e.json[i:end])
	if whole {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			e.dst = appendInt(e.dst, n)
			return end, nil
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			e.dst = appendUint(e.dst, n)
			return end, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, errNotJSON
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		e.dst = appendInt(e.dst, int64(f))
		return end, nil
	}
	e.dst = binary.BigEndian.AppendUint64(append(e.dst, float64Form), math.Float64bits(f))
	return end, nil
}

func (e *encoder) array(i, depth int) (end int, err error) {
	begin, n := len(e.dst), 0
	for i = e.space(i + 1); i < len(e.json) && e.json[i] != ']'; n++ {
		if i, err = e.value(i, depth+1); err != nil {
			return 0, err
		}
		i = e.comma(i)
	}
	e.insert(begin, appendArray(nil, n))
	return i + 1, nil
}

// object appends an object, or the attachment that it stands for.
func (e *encoder) object(i, depth int) (end int, err error) {
	begin, n := len(e.dst), 0
	stands, number := false, -1
	for i = e.space(i + 1); i < len(e.json) && e.json[i] != '}'; n++ {
		var name string
		if name, i, err = e.text(i); err != nil {
			return 0, err
		}
		e.dst = appendStr(e.dst, name)
		i = e.space(e.space(i) + 1) // the colon
		member := i
		if i, err = e.value(i, depth+1); err != nil {
			return 0, err
		}
		switch name {
		case placeholderName:
			stands = string(e.json[member:i]) == "true"
		case "num":
			number = -1
			if n, err := strconv.Atoi(string(e.json[member:i])); err == nil {
				number = n
			}
		}
		i = e.comma(i)
	}
	if stands && number >= 0 && number < len(e.attachments) {
		e.dst = appendBin(e.dst[:begin], e.attachments[number])
		return i + 1, nil
	}
	e.insert(begin, appendMap(nil, n))
	return i + 1, nil
}

// insert puts a head before what was appended since begin.
func (e *encoder) insert(begin int, head []byte) {
	e.dst = append(e.dst, head...)
	copy(e.dst[begin+len(head):], e.dst[begin:])
	copy(e.dst[begin:], head)
}

func (e *encoder) space(i int) int {
	for i < len(e.json) && (e.json[i] == ' ' || e.json[i] == '\t' || e.json[i] == '\n' || e.json[i] == '\r') {
		i++
	}
	return i
}

// comma returns the index after a value and what divides it from the next one.
func (e *encoder) comma(i int) int {
	if i = e.space(i); i < len(e.json) && e.json[i] == ',' {
		return e.space(i + 1)
	}
	return i
}
