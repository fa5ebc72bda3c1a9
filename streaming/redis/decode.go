package redis

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// placeholderName is the member by which an object stands for an attachment. Nobody else is to send
// one: a client would take it for binary data that is not there.
const placeholderName = "_placeholder"

// maxAttachments bounds the binary values of one message: each costs far more than its two bytes.
const maxAttachments = 1024

var (
	errCut         = errors.New("it ends too early")
	errPlaceholder = errors.New("it has an object that stands for binary data")
	errManyBinary  = errors.New("it has too many binary values")
	errForm        = errors.New("it is not MessagePack as Socket.IO servers write it")
)

// decoder reads MessagePack. Nothing that it reads makes it take more memory than a few times the
// message.
type decoder struct {
	data string
	at   int
	// attachments are the binary values that were met.
	attachments [][]byte
}

// left is how many bytes have not been read.
func (d *decoder) left() int { return len(d.data) - d.at }

func (d *decoder) byte() (byte, error) {
	if d.left() < 1 {
		return 0, errCut
	}
	d.at++
	return d.data[d.at-1], nil
}

// take returns the next n bytes.
func (d *decoder) take(n int) (string, error) {
	if n < 0 || n > d.left() {
		return "", errCut
	}
	d.at += n
	return d.data[d.at-n : d.at], nil
}

// uint reads a number of so many bytes.
func (d *decoder) uint(bytes int) (uint64, error) {
	text, err := d.take(bytes)
	if err != nil {
		return 0, err
	}
	var n uint64
	for i := range len(text) {
		n = n<<8 | uint64(text[i])
	}
	return n, nil
}

// count reads the number of elements, of so many bytes. Each element takes one byte at least.
func (d *decoder) count(bytes int) (int, error) {
	n, err := d.uint(bytes)
	if err == nil && n > uint64(d.left()) { //nolint:gosec // not negative
		return 0, errCut
	}
	return int(n), err //nolint:gosec // at most what is left
}

// length reads the head of what a form with 8, 16 and 32 bits has, of which first is the smallest.
func (d *decoder) length(form, first byte) (int, error) { return d.count(1 << (form - first)) }

// array reads the head of an array.
func (d *decoder) array() (int, error) {
	form, err := d.byte()
	switch {
	case err != nil:
		return 0, err
	case form&0xf0 == fixArray:
		return int(form & 0x0f), nil
	case form == array16 || form == array32:
		return d.count(2 << (form - array16))
	}
	return 0, errForm
}

// members reads the head of a map.
func (d *decoder) members() (int, error) {
	form, err := d.byte()
	switch {
	case err != nil:
		return 0, err
	case form&0xf0 == fixMap:
		return int(form & 0x0f), nil
	case form == map16 || form == map32:
		return d.count(2 << (form - map16))
	}
	return 0, errForm
}

// text reads a string.
func (d *decoder) text() (string, error) {
	form, err := d.byte()
	if err != nil {
		return "", err
	}
	var n int
	switch {
	case form&0xe0 == fixStr:
		n = int(form & 0x1f)
	case form >= str8 && form <= str32:
		n, err = d.length(form, str8)
	default:
		return "", errForm
	}
	if err != nil {
		return "", err
	}
	return d.take(n)
}

// name reads what names something: a string, or a number that means its digits.
func (d *decoder) name() (string, error) {
	if d.left() > 0 {
		if form := d.data[d.at]; form&0xe0 == fixStr || form >= str8 && form <= str32 {
			return d.text()
		}
	}
	number, err := d.json(nil, packet.MaxDepth)
	if err != nil {
		return "", err
	}
	if len(number) == 0 || number[0] != '-' && (number[0] < '0' || number[0] > '9') {
		return "", errForm
	}
	return string(number), nil
}

// names reads an array of names, or nil.
func (d *decoder) names() (list []string, err error) {
	if d.left() > 0 && d.data[d.at] == nilForm {
		d.at++
		return nil, nil
	}
	n, err := d.array()
	for range n {
		var name string
		if name, err = d.name(); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, err
}

// skip reads a value that means nothing here.
func (d *decoder) skip() error {
	taken := len(d.attachments)
	_, err := d.json(nil, 0)
	d.attachments = d.attachments[:min(taken, len(d.attachments))]
	return err
}

// json reads a value and appends it to dst as JSON, in which placeholders stand for binary values.
func (d *decoder) json(dst []byte, depth int) ([]byte, error) {
	form, err := d.byte()
	if err != nil {
		return nil, err
	}
	if depth > packet.MaxDepth {
		return nil, errTooDeep
	}
	switch {
	case form < fixMap:
		return strconv.AppendInt(dst, int64(form), 10), nil
	case form >= negativeFixInt:
		return strconv.AppendInt(dst, int64(int8(form)), 10), nil //nolint:gosec // the form is the number's two's complement
	case form < fixArray, form == map16, form == map32:
		d.at--
		return d.jsonObject(dst, depth)
	case form < fixStr, form == array16, form == array32:
		d.at--
		return d.jsonArray(dst, depth)
	case form < nilForm, form >= str8 && form <= str32:
		d.at--
		text, err := d.text()
		return appendQuoted(dst, text), err
	}
	return d.jsonScalar(dst, form)
}

// jsonScalar reads what has no other values within.
func (d *decoder) jsonScalar(dst []byte, form byte) ([]byte, error) {
	switch form {
	case nilForm:
		return append(dst, "null"...), nil
	case falseForm:
		return append(dst, "false"...), nil
	case trueForm:
		return append(dst, "true"...), nil
	case bin8, bin16, bin32:
		n, err := d.length(form, bin8)
		if err != nil {
			return nil, err
		}
		return d.binary(dst, n)
	case float32Form:
		n, err := d.uint(4)
		return appendFloat(dst, float64(math.Float32frombits(uint32(n)))), err //nolint:gosec // four bytes
	case float64Form:
		n, err := d.uint(8)
		return appendFloat(dst, math.Float64frombits(n)), err
	case uint8Form, uint16Form, uint32Form, uint64Form:
		n, err := d.uint(1 << (form - uint8Form))
		return strconv.AppendUint(dst, n, 10), err
	case int8Form, int16Form, int32Form, int64Form:
		bytes := 1 << (form - int8Form)
		n, err := d.uint(bytes)
		shift := 64 - 8*bytes
		return strconv.AppendInt(dst, int64(n<<shift)>>shift, 10), err //nolint:gosec // the sign is the highest bit
	case ext8, ext16, ext32:
		n, err := d.length(form, ext8)
		if err != nil {
			return nil, err
		}
		return d.extension(dst, n)
	}
	if form >= fixExt1 && form <= fixExt16 {
		return d.extension(dst, 1<<(form-fixExt1))
	}
	return nil, errForm
}

func (d *decoder) jsonArray(dst []byte, depth int) ([]byte, error) {
	n, err := d.array()
	if err != nil {
		return nil, err
	}
	dst = append(dst, '[')
	if dst, err = d.elements(dst, n, depth); err != nil {
		return nil, err
	}
	return append(dst, ']'), nil
}

// elements reads so many values of an array.
func (d *decoder) elements(dst []byte, n, depth int) (_ []byte, err error) {
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = d.json(dst, depth+1); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func (d *decoder) jsonObject(dst []byte, depth int) ([]byte, error) {
	n, err := d.members()
	if err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		name, err := d.name()
		if err != nil {
			return nil, err
		}
		if name == placeholderName {
			return nil, errPlaceholder
		}
		dst = append(appendQuoted(dst, name), ':')
		if dst, err = d.json(dst, depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// binary reads so many bytes of a binary value.
func (d *decoder) binary(dst []byte, n int) ([]byte, error) {
	data, err := d.take(n)
	if err != nil {
		return nil, err
	}
	if len(d.attachments) == maxAttachments {
		return nil, errManyBinary
	}
	dst = append(dst, `{"`+placeholderName+`":true,"num":`...)
	dst = append(strconv.AppendInt(dst, int64(len(d.attachments)), 10), '}')
	d.attachments = append(d.attachments, []byte(data))
	return dst, nil
}

// The extensions: what JavaScript's MessagePack libraries have for undefined and ArrayBuffer, and
// the timestamp of the specification.
const (
	undefinedType = 0
	timestampType = 0xff
)

// extension reads an extension of so many bytes.
func (d *decoder) extension(dst []byte, n int) ([]byte, error) {
	kind, err := d.byte()
	if err != nil {
		return nil, err
	}
	if kind == undefinedType && n > 1 {
		return d.binary(dst, n)
	}
	data, err := d.take(n)
	if err != nil {
		return nil, err
	}
	switch kind {
	case undefinedType:
		return append(dst, "null"...), nil
	case timestampType:
		return appendTimestamp(dst, []byte(data))
	}
	return nil, errForm
}

// appendTimestamp appends a time as JSON.stringify does it.
func appendTimestamp(dst, data []byte) ([]byte, error) {
	var seconds, nanoseconds int64
	switch len(data) {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(data))
	case 8:
		n := binary.BigEndian.Uint64(data)
		seconds, nanoseconds = int64(n&(1<<34-1)), int64(n>>34) //nolint:gosec // 34 and 30 bits
	case 12:
		nanoseconds = int64(binary.BigEndian.Uint32(data))
		seconds = int64(binary.BigEndian.Uint64(data[4:])) //nolint:gosec // the sign is the highest bit
	default:
		return nil, errForm
	}
	at := time.Unix(seconds, nanoseconds).UTC()
	if year := at.Year(); year < 0 || year > 9999 {
		return append(dst, "null"...), nil
	}
	return at.AppendFormat(dst, `"2006-01-02T15:04:05.000Z"`), nil
}

// appendFloat appends a number; what is none in JSON is null, as in JSON.stringify.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(dst, "null"...)
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

// appendQuoted appends text as a JSON string. What is not UTF-8 is replaced.
func appendQuoted(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, size := utf8.DecodeRuneInString(text[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		i++
	}
	return append(dst, '"')
}
