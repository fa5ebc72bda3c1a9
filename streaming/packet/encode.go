package packet

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ErrArgs is an [Args] among the values that arguments are to be made of. Args
// are complete: they are sent by EmitArgs, not by Emit.
var ErrArgs = errors.New("a packet.Args among the values: send it by EmitArgs")

// holdsBinary reports whether a value of a type may have binary data in it.
func holdsBinary(t reflect.Type) bool {
	if known, ok := binaryCache.Load(t); ok {
		return known.(bool)
	}
	holds := mayHoldBinary(t, make(map[reflect.Type]bool))
	binaryCache.Store(t, holds)
	return holds
}

// binaryCache holds what holdsBinary has found, by type.
var binaryCache sync.Map

func mayHoldBinary(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == argsType || t == objectType || isBytes(t) && !marshals(t) {
		return true
	}
	if seen[t] || marshals(t) {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return mayHoldBinary(t.Elem(), seen)
	case reflect.Struct:
		return slices.ContainsFunc(fieldsOf(t), func(f field) bool { return mayHoldBinary(f.typ, seen) })
	}
	return false
}

// encoder appends the JSON of values to a list, and their binary data to the
// attachments.
type encoder struct {
	list        *bytes.Buffer
	attachments *[][]byte
}

var errDepth = fmt.Errorf("it nests deeper than %d levels", MaxDepth)

// value appends a value. It is what encoding/json does, but for binary data.
func (e *encoder) value(v reflect.Value, depth int) error {
	if !v.IsValid() {
		e.list.WriteString("null")
		return nil
	}
	t := v.Type()
	switch {
	case depth > MaxDepth:
		return errDepth
	case t == argsType:
		return ErrArgs
	case t == objectType:
		return e.object(v.Interface().(Object))
	case !holdsBinary(t):
		return e.leaf(v)
	case isBytes(t):
		return e.binary(v)
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface:
		return e.value(v.Elem(), depth+1)
	case reflect.Struct:
		return e.structure(v, depth)
	case reflect.Map:
		return e.dictionary(v, depth)
	case reflect.Slice:
		if v.IsNil() {
			return e.leaf(v)
		}
	}
	e.list.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			e.list.WriteByte(',')
		}
		if err := e.value(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	e.list.WriteByte(']')
	return nil
}

// leaf appends a value as encoding/json does.
func (e *encoder) leaf(v reflect.Value) error {
	if v.CanAddr() {
		// Its methods may be those of a pointer.
		v = v.Addr()
	}
	encoded, err := json.Marshal(v.Interface())
	e.list.Write(encoded)
	return err
}

// binary appends a placeholder.
func (e *encoder) binary(v reflect.Value) error {
	if v.IsNil() {
		e.list.WriteString("null")
		return nil
	}
	*e.attachments = append(*e.attachments, v.Bytes())
	e.list.Write(Placeholder{number: len(*e.attachments) - 1}.append(e.list.AvailableBuffer()))
	return nil
}

// object appends an object that came from a client, along with its attachments.
func (e *encoder) object(o Object) error {
	b := ArgsBuilder{attachments: *e.attachments}
	value, ok := b.forward(o.JSON(), o.attachments)
	if !ok {
		return errors.New("an object that refers to attachments that are not there")
	}
	*e.attachments = b.attachments
	e.list.Write(value)
	return nil
}

// structure appends a struct.
func (e *encoder) structure(v reflect.Value, depth int) error {
	e.list.WriteByte('{')
	first := true
	fields := fieldsOf(v.Type())
	for i := range fields {
		f := &fields[i]
		value, there := fieldAt(v, f.index)
		if !there || f.omitEmpty && isEmpty(value) || f.omitZero && isZero(value) {
			continue
		}
		if !first {
			e.list.WriteByte(',')
		}
		first = false
		e.list.Write(f.quoted)
		if err := e.field(f, value, depth); err != nil {
			return err
		}
	}
	e.list.WriteByte('}')
	return nil
}

func (e *encoder) field(f *field, v reflect.Value, depth int) error {
	if !f.text {
		return e.value(v, depth+1)
	}
	encoded, err := json.Marshal(v.Interface())
	if err == nil && string(encoded) != "null" {
		encoded = quote(string(encoded))
	}
	e.list.Write(encoded)
	return err
}

// fieldAt returns a field of a struct. It is not there if it is in an embedded
// struct that is not.
func fieldAt(v reflect.Value, index []int) (at reflect.Value, there bool) {
	for _, n := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v, true
}

// isEmpty is what "omitempty" means.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// isZero is what "omitzero" means.
func isZero(v reflect.Value) bool {
	if v.CanAddr() {
		if z, ok := v.Addr().Interface().(interface{ IsZero() bool }); ok {
			return z.IsZero()
		}
	}
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok && !v.IsZero() {
		return z.IsZero()
	}
	return v.IsZero()
}

// dictionary appends a map, in the order of its keys.
func (e *encoder) dictionary(v reflect.Value, depth int) error {
	if v.IsNil() {
		return e.leaf(v)
	}
	type member struct {
		name  string
		value reflect.Value
	}
	members := make([]member, 0, v.Len())
	for key, value := range v.Seq2() {
		name, err := nameOf(key)
		if err != nil {
			return err
		}
		members = append(members, member{name, value})
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	e.list.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			e.list.WriteByte(',')
		}
		e.list.Write(quote(m.name))
		e.list.WriteByte(':')
		if err := e.value(m.value, depth+1); err != nil {
			return err
		}
	}
	e.list.WriteByte('}')
	return nil
}

// nameOf makes a name of the key of a map.
func nameOf(key reflect.Value) (string, error) {
	if key.Kind() == reflect.String {
		return key.String(), nil
	}
	if m, ok := key.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		return string(text), err
	}
	switch {
	case key.CanInt():
		return strconv.FormatInt(key.Int(), 10), nil
	case key.CanUint():
		return strconv.FormatUint(key.Uint(), 10), nil
	}
	return "", &json.UnsupportedTypeError{Type: key.Type()}
}
