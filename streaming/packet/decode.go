package packet

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// ErrMissing is an argument that is not there.
var ErrMissing = errors.New("is missing")

// ErrNull is an argument that is null and was to be decoded into what has no null,
// such as a struct, a string or a []byte.
var ErrNull = errors.New("is null")

// ErrNotBinary is a value that is not binary and was to be decoded into a
// []byte. A string is none, whatever it holds.
var ErrNotBinary = errors.New("is not binary")

// DecodeError is the error of [Args.Decode]: an argument that does not fit the
// value that it was to be decoded into.
type DecodeError struct {
	// Argument says which argument it is; the first one is 0.
	Argument int
	// Path leads to what does not fit within the argument, such as
	// "user.tags[2]". It is empty when the argument itself does not fit.
	Path string
	// Err says why: [ErrMissing], [ErrNull], [ErrNotBinary], or what encoding/json says.
	Err error
}

// Where names what does not fit, without saying why.
func (e *DecodeError) Where() string {
	if e.Path == "" {
		return "argument " + strconv.Itoa(e.Argument)
	}
	return fmt.Sprintf("%s in argument %d", e.Path, e.Argument)
}

// Error is fit for the client that sent the argument: it says nothing of this program's types. What
// encoding/json, or a method of a type, says of them is in Err alone.
func (e *DecodeError) Error() string {
	for _, reason := range []error{ErrMissing, ErrNull, ErrNotBinary} {
		if errors.Is(e.Err, reason) {
			return e.Where() + " " + reason.Error()
		}
	}
	return e.Where() + " does not fit"
}

// Unwrap returns Err.
func (e *DecodeError) Unwrap() error { return e.Err }

// Decode decodes the arguments one by one into what values point to. A missing
// argument is an error, and those beyond the last value are left alone. The
// error is a [*DecodeError].
//
// It decodes as encoding/json does, with three differences.
//
// An argument that is null fits only what has a null: a pointer, an interface, a map, a
// slice other than []byte, an [Args], and what has an UnmarshalJSON method. Within an
// argument null counts as a field that is missing: whoever needs a field has to look
// whether it is there.
//
// Names of fields are compared exactly, and of equal names the last one counts,
// as in JavaScript. What this server has decoded, and perhaps checked, is what
// every client reads when the arguments are passed on to it. An UnmarshalJSON
// method has to see to that by itself.
//
// A []byte, wherever it stands within a value, takes binary data: a string in
// base64 is an error. An interface takes binary data as a
// []byte. The bytes are not copied, and must not be changed.
//
// An [Args] or an [Object] takes a value as it is, with the attachments that it
// refers to, to be passed on or looked into.
func (a Args) Decode(values ...any) error {
	d := decoder{attachments: a.attachments}
	i := 0
	for argument := range a.All() {
		if i == len(values) {
			return nil
		}
		if err := d.argument(argument, values[i]); err != nil {
			return &DecodeError{Argument: i, Path: d.where(), Err: err}
		}
		i++
	}
	if i < len(values) {
		return &DecodeError{Argument: i, Err: ErrMissing}
	}
	return nil
}

// decoder decodes one argument after the other.
type decoder struct {
	data        []byte
	attachments [][]byte
	// path holds the steps to the value that does not fit, the last one first.
	path []string
}

// where joins the steps of the path.
func (d *decoder) where() string {
	var path strings.Builder
	for i := len(d.path) - 1; i >= 0; i-- {
		step := d.path[i]
		if path.Len() > 0 && step[0] != '[' {
			path.WriteByte('.')
		}
		path.WriteString(step)
	}
	return path.String()
}

// argument decodes one argument into what a pointer points to.
func (d *decoder) argument(data []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return &json.InvalidUnmarshalError{Type: reflect.TypeOf(into)}
	}
	d.data = data
	if data[0] == 'n' && !hasNull(v.Elem().Type()) {
		return ErrNull
	}
	_, err := d.value(0, v.Elem())
	return err
}

// hasNull reports whether a value of a type can be null.
func hasNull(t reflect.Type) bool {
	switch {
	case unmarshals(t), t == argsType:
		return true
	case t == objectType, isBytes(t):
		return false
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return true
	}
	return false
}

// value decodes the value that begins at data[i], and returns the index after
// it. Each byte is looked at a bounded number of times, however deep the value
// is: a client must not be able to make this slow.
func (d *decoder) value(i int, v reflect.Value) (end int, err error) {
	t := v.Type()
	if unmarshals(t) {
		return d.leaf(i, v)
	}
	c := d.data[i]
	switch {
	case t == argsType, t == objectType:
		return d.undecoded(i, v)
	case c == 'n':
		return d.leaf(i, v)
	case isBytes(t):
		return d.binary(i, v)
	}
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		return d.value(i, v.Elem())
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return d.any(i, v)
		}
	case reflect.Struct:
		if c == '{' {
			return d.structure(i, v)
		}
	case reflect.Map:
		if c == '{' {
			end, attachment, err := d.dictionary(i, v)
			if err == nil && attachment >= 0 {
				err = errBinary
			}
			return end, err
		}
	case reflect.Slice:
		if c == '[' {
			v.Set(reflect.MakeSlice(t, 0, 0))
			return d.list(i, func(n int) reflect.Value {
				v.Grow(1)
				v.SetLen(n + 1)
				return v.Index(n)
			})
		}
	case reflect.Array:
		if c == '[' {
			v.SetZero()
			return d.list(i, func(n int) reflect.Value {
				if n < v.Len() {
					return v.Index(n)
				}
				return reflect.Value{}
			})
		}
	}
	return d.leaf(i, v)
}

// leaf decodes a value as encoding/json does.
func (d *decoder) leaf(i int, v reflect.Value) (end int, err error) {
	end = valueEnd(d.data, i)
	value := d.data[i:end]
	if unmarshals(v.Type()) || !setScalar(v, value) {
		err = json.Unmarshal(value, v.Addr().Interface())
	}
	return end, err
}

// setScalar sets a value of a simple type, for which encoding/json would need
// memory. It reports false when the value is not that simple, or does not fit.
func setScalar(v reflect.Value, value []byte) bool {
	switch v.Kind() {
	case reflect.String:
		text, ok := unquote(value)
		if ok = ok && v.Type() != numberType; ok {
			v.SetString(text)
		}
		return ok
	case reflect.Bool:
		is := string(value) == "true"
		if is || string(value) == "false" {
			v.SetBool(is)
			return true
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err == nil && !v.OverflowInt(n) {
			v.SetInt(n)
			return true
		}
	case reflect.Float64:
		n, err := strconv.ParseFloat(string(value), 64)
		if err == nil && value[0] != '"' {
			v.SetFloat(n)
			return true
		}
	}
	return false
}

// binary takes the attachment that a value stands for.
func (d *decoder) binary(i int, v reflect.Value) (end int, err error) {
	end = valueEnd(d.data, i)
	data, ok := attachmentOf(d.data[i:end], d.attachments)
	if !ok {
		return end, ErrNotBinary
	}
	v.SetBytes(data)
	return end, nil
}

// errBinary is binary data that was to be decoded into what has names.
var errBinary = errors.New("it is binary")

// undecoded takes a value as it is, as [Args] or as an [Object].
func (d *decoder) undecoded(i int, v reflect.Value) (end int, err error) {
	end = valueEnd(d.data, i)
	args := Args{list: d.data[i:end], attachments: d.attachments}
	if v.Type() == argsType {
		v.Set(reflect.ValueOf(args.Of(args.list)))
		return end, nil
	}
	object, ok := args.Object(0)
	if !ok {
		return end, errNoObject
	}
	v.Set(reflect.ValueOf(object))
	return end, nil
}

// structure decodes an object into a struct.
func (d *decoder) structure(i int, v reflect.Value) (end int, err error) {
	fields := fieldsOf(v.Type())
	var seen []int
	end, attachment, err := d.object(i, func(quoted []byte, i int) (int, error) {
		at := slices.IndexFunc(fields, func(f field) bool { return isName(quoted, f.name) })
		if at < 0 {
			return valueEnd(d.data, i), nil
		}
		f := &fields[at]
		inner, err := fieldOf(v, f.index)
		if err != nil {
			return i, d.within(f.name, err)
		}
		if slices.Contains(seen, at) {
			// Nothing of an earlier value may stay.
			inner.SetZero()
		}
		seen = append(seen, at)
		decode := d.value
		if f.text && d.data[i] != 'n' {
			decode = d.inText
		}
		end, err := decode(i, inner)
		return end, d.within(f.name, err)
	})
	if err == nil && attachment >= 0 {
		err = errBinary
	}
	return end, err
}

// object has each member of an object that begins at data[i] decoded, and
// returns the index after it. If the object stands for an attachment, that is
// its number, otherwise -1. member gets the name as it is written and the index
// of the value, and returns the index after that.
func (d *decoder) object(i int, member func(quoted []byte, i int) (int, error)) (end, attachment int, err error) {
	isPlaceholder, attachment := false, -1
	for i = skipSpace(d.data, i+1); d.data[i] != '}'; {
		quoted := d.data[i:stringEnd(d.data, i)]
		begin := skipSpace(d.data, skipSpace(d.data, i+len(quoted))+1)
		if i, err = member(quoted, begin); err != nil {
			return i, -1, err
		}
		switch {
		case isName(quoted, placeholderName):
			isPlaceholder = string(d.data[begin:i]) == "true"
		case isName(quoted, numberName):
			attachment = attachmentNumber(d.data[begin:i])
		}
		i = d.next(i)
	}
	if !isPlaceholder || attachment >= len(d.attachments) {
		attachment = -1
	}
	return i + 1, attachment, nil
}

// list has each element of an array that begins at data[i] decoded into what
// place returns for its number. One for which that is no value is left out.
func (d *decoder) list(i int, place func(n int) reflect.Value) (end int, err error) {
	n := 0
	for i = skipSpace(d.data, i+1); d.data[i] != ']'; n++ {
		if v := place(n); v.IsValid() {
			i, err = d.value(i, v)
		} else {
			i = valueEnd(d.data, i)
		}
		if err != nil {
			return i, d.within("["+strconv.Itoa(n)+"]", err)
		}
		i = d.next(i)
	}
	return i + 1, nil
}

// next returns the index of what comes after a value: the next one, or the end
// of the list.
func (d *decoder) next(i int) int {
	if i = skipSpace(d.data, i); d.data[i] == ',' {
		i = skipSpace(d.data, i+1)
	}
	return i
}

// within notes where an error has come up, if there is one.
func (d *decoder) within(step string, err error) error {
	if err != nil {
		d.path = append(d.path, step)
	}
	return err
}

var errEmbedded = errors.New("it is within an embedded pointer to a struct that is not exported")

// fieldOf returns a field of a struct. It makes the structs on the way that are
// not there.
func fieldOf(v reflect.Value, index []int) (reflect.Value, error) {
	for i, n := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return v, errEmbedded
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v, nil
}

// inText decodes the value that a string holds, for the option "string".
func (d *decoder) inText(i int, v reflect.Value) (end int, err error) {
	end = valueEnd(d.data, i)
	text, ok := unquote(d.data[i:end])
	if !ok {
		return end, errors.New("it is not text")
	}
	return end, json.Unmarshal([]byte(text), v.Addr().Interface())
}

// maxShownKey bounds what an error says of a name that the client has chosen,
// in bytes.
const maxShownKey = 32

// dictionary decodes an object into a map.
func (d *decoder) dictionary(i int, v reflect.Value) (end, attachment int, err error) {
	t := v.Type()
	if v.IsNil() {
		v.Set(reflect.MakeMap(t))
	}
	return d.object(i, func(quoted []byte, i int) (int, error) {
		name, _ := unquote(quoted)
		value := reflect.New(t.Elem()).Elem()
		key, err := keyOf(t.Key(), name)
		if err == nil {
			i, err = d.value(i, value)
		}
		if err != nil {
			return i, d.within(fmt.Sprintf("[%.*q]", maxShownKey, name), err)
		}
		v.SetMapIndex(key, value)
		return i, nil
	})
}

// keyOf makes a key of a map of a name.
func keyOf(t reflect.Type, name string) (reflect.Value, error) {
	if t.Kind() == reflect.String && !unmarshals(t) {
		return reflect.ValueOf(name).Convert(t), nil
	}
	// encoding/json knows how to make keys of other types.
	m := reflect.New(reflect.MapOf(t, reflect.TypeFor[struct{}]()))
	if err := json.Unmarshal(append(append([]byte{'{'}, quote(name)...), `:{}}`...), m.Interface()); err != nil {
		return reflect.Value{}, err
	}
	return m.Elem().MapKeys()[0], nil
}

// any decodes a value into an empty interface, as encoding/json does, but
// binary data as a []byte.
func (d *decoder) any(i int, v reflect.Value) (end int, err error) {
	switch d.data[i] {
	case '{':
		object := make(map[string]any)
		end, attachment, err := d.dictionary(i, reflect.ValueOf(&object).Elem())
		if attachment >= 0 {
			v.Set(reflect.ValueOf(d.attachments[attachment]))
		} else {
			v.Set(reflect.ValueOf(object))
		}
		return end, err
	case '[':
		list := []any{}
		end, err = d.value(i, reflect.ValueOf(&list).Elem())
		v.Set(reflect.ValueOf(list))
		return end, err
	}
	v.SetZero()
	return d.leaf(i, v)
}
