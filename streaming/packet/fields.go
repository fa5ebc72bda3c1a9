package packet

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// field is a field of a struct that has a name in JSON.
type field struct {
	// name is the name in JSON, quoted its encoded form with a colon.
	name   string
	quoted []byte
	// index leads to the field, through the structs that it is embedded in.
	index []int
	typ   reflect.Type
	// tagged is true for a name that a tag has given.
	tagged bool
	// omitEmpty, omitZero and text are the options "omitempty", "omitzero" and
	// "string" of the tag.
	omitEmpty, omitZero, text bool
}

// fieldsOf returns the fields of a struct type that encoding/json knows, in the
// order in which it writes them.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fieldCache.Load(t); ok {
		return known.([]field)
	}
	known, _ := fieldCache.LoadOrStore(t, dominant(allFields(t)))
	return known.([]field)
}

// fieldCache holds what fieldsOf has found, by type.
var fieldCache sync.Map

// allFields lists the fields of a struct and of the structs embedded in it. The
// list also has fields that others hide.
func allFields(t reflect.Type) (fields []field) {
	type embedded struct {
		typ   reflect.Type
		index []int
	}
	seen := make(map[reflect.Type]bool)
	for level := []embedded{{typ: t}}; len(level) > 0; {
		var next []embedded
		for _, e := range level {
			seen[e.typ] = true
		}
		for _, e := range level {
			for i := range e.typ.NumField() {
				f := e.typ.Field(i)
				inner := f.Type
				if f.Anonymous && inner.Kind() == reflect.Pointer {
					inner = inner.Elem()
				}
				isStruct := f.Anonymous && inner.Kind() == reflect.Struct
				tag := f.Tag.Get("json")
				if !f.IsExported() && !isStruct || tag == "-" {
					continue
				}
				index := append(slices.Clone(e.index), i)
				name, options, _ := strings.Cut(tag, ",")
				switch {
				case isStruct && name == "":
					if !seen[inner] {
						next = append(next, embedded{inner, index})
					}
				case f.IsExported():
					fields = append(fields, newField(f, name, options, index))
				}
			}
		}
		level = next
	}
	return fields
}

func newField(f reflect.StructField, name, options string, index []int) field {
	known := field{name: name, index: index, typ: f.Type, tagged: name != ""}
	if name == "" {
		known.name = f.Name
	}
	known.quoted = append(quote(known.name), ':')
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			known.omitEmpty = true
		case "omitzero":
			known.omitZero = true
		case "string":
			known.text = isScalar(f.Type)
		}
	}
	return known
}

// isScalar reports whether the option "string" has a meaning for a type.
func isScalar(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64:
		return true
	}
	return false
}

// dominant leaves one field of each name: the one that is embedded least deep,
// and of several such the only one with a tag. Where that leaves several, the
// name means none of them.
func dominant(all []field) (fields []field) {
	for i, f := range all {
		hidden := func(other field) bool {
			return other.name == f.name && (len(other.index) < len(f.index) ||
				len(other.index) == len(f.index) && (other.tagged || !f.tagged))
		}
		if !slices.ContainsFunc(all[:i], hidden) && !slices.ContainsFunc(all[i+1:], hidden) {
			fields = append(fields, f)
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return fields
}

var (
	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	argsType        = reflect.TypeFor[Args]()
	objectType      = reflect.TypeFor[Object]()
	numberType      = reflect.TypeFor[json.Number]()
)

// isBytes reports whether values of a type are binary: those that encoding/json
// would write in base64.
func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 &&
		!has(t.Elem(), jsonMarshaler, textMarshaler)
}

// marshals reports whether a type has a JSON form of its own.
func marshals(t reflect.Type) bool { return has(t, jsonMarshaler, textMarshaler) }

// unmarshals reports whether a type reads JSON in a way of its own.
func unmarshals(t reflect.Type) bool { return has(t, jsonUnmarshaler, textUnmarshaler) }

// has reports whether a type, or a pointer to it, has the methods of one of the
// interfaces.
func has(t reflect.Type, interfaces ...reflect.Type) bool {
	return slices.ContainsFunc(interfaces, func(i reflect.Type) bool {
		return t.Implements(i) || reflect.PointerTo(t).Implements(i)
	})
}
