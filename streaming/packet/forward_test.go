package packet

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestForwardTakesWhatAValueRefersTo(t *testing.T) {
	place := func(n int) string { return fmt.Sprintf(`{"_placeholder":true,"num":%d}`, n) }
	attachments := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
	for _, test := range []struct {
		value, want string
		attached    string
	}{
		{`1`, `1`, ""},
		{`"placeholder \u005f"`, `"placeholder \u005f"`, ""},
		{`{"a":[1,{"b":null}],"placeholder":{}}`, `{"a":[1,{"b":null}],"placeholder":{}}`, ""},
		{place(2), place(1), "c"},
		{`[` + place(2) + ` , {"x" : ` + place(0) + `}]`, `[` + place(1) + `,{"x":` + place(2) + `}]`, "ca"},
		{`{"num":1,"\u005fplaceholder":true}`, place(1), "b"},
		{`{"_placeholder":false,"_placeholder":true,"num":9,"num":1}`, place(1), "b"},
		{`{"_placeholder":true,"_placeholder":false,"num":1}`, `{"_placeholder":true,"_placeholder":false,"num":1}`, ""},
		{`{"_placeholder":"true","num":1}`, `{"_placeholder":"true","num":1}`, ""},
		// What is within a placeholder does not count.
		{`{"_placeholder":true,"num":0,"x":` + place(1) + `}`, place(1), "a"},
		{`{"_placeholder":true,"num":0,"x":` + place(7) + `}`, place(1), "a"},
	} {
		var b ArgsBuilder
		b.Binary([]byte("own"))
		o := Object{raw: json.RawMessage(`{"field":` + test.value + `,"other":` + place(1) + `}`), attachments: attachments}
		value, ok := b.Forward(o, "field")
		if !ok || string(value) != test.want {
			t.Errorf("%s: %s, %t", test.value, value, ok)
		}
		b.AddJSON(value)
		args, err := b.Args()
		if err != nil {
			t.Fatal(err)
		}
		attached := ""
		for _, attachment := range args.Attachments()[1:] {
			attached += string(attachment)
		}
		if attached != test.attached {
			t.Errorf("%s: attached %q", test.value, attached)
		}
	}
	for _, bad := range []string{
		place(3), place(-1), `{"_placeholder":true}`, `{"_placeholder":true,"num":"0"}`, `{"_placeholder":true,"num":0.5}`,
		`[` + place(0) + `,` + place(0) + `]`, `[[[` + place(99) + `]]]`,
	} {
		var b ArgsBuilder
		if value, ok := b.Forward(Object{raw: json.RawMessage(`{"f":` + bad + `}`), attachments: attachments}, "f"); ok {
			t.Errorf("%s is forwarded as %s", bad, value)
		}
	}
	var b ArgsBuilder
	if value, ok := b.Forward(Object{raw: json.RawMessage(`{}`)}, "f"); !ok || value != nil {
		t.Errorf("a field that is not there: %s, %t", value, ok)
	}
}

// FuzzForward holds that what is forwarded is valid, refers to each attachment
// it comes with exactly once, and means the same otherwise.
func FuzzForward(f *testing.F) {
	for _, seed := range []string{
		`1`, `[]`, ` { "a" : [ 1 , { "_placeholder" : true , "num" : 1 } ] } `, `{"\u005fplaceholder":true,"num":0}`,
		`{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":1}}`, `[{"_placeholder":true,"num":2},{"_placeholder":true,"num":0}]`,
		`"placeholder"`, `{"placeholder":{"num":{}}}`, `{"num":1,"_placeholder":true,"_placeholder":false}`,
	} {
		f.Add([]byte(seed))
	}
	attachments := [][]byte{{0}, {1}, {2}}
	f.Fuzz(func(t *testing.T, value []byte) {
		if !validJSON(value) {
			return
		}
		var b ArgsBuilder
		o := Object{raw: json.RawMessage(`{"f":` + string(value) + `}`), attachments: attachments}
		forwarded, ok := b.Forward(o, "f")
		count, valid := countPlaceholders(value, len(attachments))
		if !ok {
			return
		}
		if !valid {
			t.Fatalf("%s refers to what is not there, and became %s", value, forwarded)
		}
		if !validJSON(forwarded) {
			t.Fatalf("%s became %s", value, forwarded)
		}
		b.AddJSON(forwarded)
		args, err := b.Args()
		if err != nil {
			t.Fatal(err)
		}
		if n, valid := countPlaceholders(forwarded, len(args.Attachments())); n != count || n != len(args.Attachments()) || !valid {
			t.Fatalf("%s with %d placeholders became %s with %d, and %d attachments", value, count, forwarded, n, len(args.Attachments()))
		}
	})
}

func TestListAndOf(t *testing.T) {
	args := Args{list: []byte(`[{"event":"a"}, {"data":{"_placeholder":true,"num":0}}]`), attachments: [][]byte{[]byte("x")}}
	values, ok := args.List(0)
	if !ok {
		t.Fatal("no list")
	}
	var attached []int
	for value := range values {
		attached = append(attached, len(args.Of(value).Attachments()))
	}
	if fmt.Sprint(attached) != "[0 1]" {
		t.Error(attached)
	}
	for _, other := range []string{``, `{}`, `"[]"`, `1`, `null`} {
		if _, ok := (Args{list: []byte(other)}).List(0); ok {
			t.Errorf("%s is a list", other)
		}
	}
}
