package packet

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

func TestNewArgsMakesBytesBinary(t *testing.T) {
	type part struct {
		Name string `json:"name"`
		Data []byte `json:"data,omitempty"`
	}
	one, two := []byte("one"), []byte("two")
	placeholder := func(n int) string { return fmt.Sprintf(`{"_placeholder":true,"num":%d}`, n) }
	for _, test := range []struct {
		values []any
		list   string
		data   [][]byte
	}{
		{[]any{one}, placeholder(0), [][]byte{one}},
		{[]any{"a", one, 1, two}, `"a",` + placeholder(0) + `,1,` + placeholder(1), [][]byte{one, two}},
		{[]any{[]byte{}, []byte(nil)}, placeholder(0) + `,null`, [][]byte{{}}},
		{[]any{part{"x", two}}, `{"name":"x","data":` + placeholder(0) + `}`, [][]byte{two}},
		{[]any{&part{"x", nil}, nil, (*part)(nil)}, `{"name":"x"},null,null`, nil},
		{[]any{map[string]any{"b": one, "a": []any{two, 1, nil}}}, `{"a":[` + placeholder(0) + `,1,null],"b":` + placeholder(1) + `}`, [][]byte{two, one}},
		{[]any{[]part{{"x", one}, {"y", two}}}, `[{"name":"x","data":` + placeholder(0) + `},{"name":"y","data":` + placeholder(1) + `}]`, [][]byte{one, two}},
		{[]any{map[int]any{10: 1, 9: one}, [2]any{two}}, `{"10":1,"9":` + placeholder(0) + `},[` + placeholder(1) + `,null]`, [][]byte{one, two}},
	} {
		args, err := NewArgs(test.values...)
		if err != nil || string(args.list) != test.list || !reflect.DeepEqual(args.attachments, test.data) {
			t.Errorf("%v: %s %q, %v\nwant %s %q", test.values, args.list, args.attachments, err, test.list, test.data)
		}
	}
}

// What a client has sent of an object goes on as it came, with its attachments
// and no others.
func TestNewArgsTakesObjects(t *testing.T) {
	came := received(t, `{"a": 1, "b":`+placeholder1+`}`, []byte("other"), []byte("mine"))
	object, _ := came.Object(0)
	args, err := NewArgs([]byte("new"), struct{ From Object }{object})
	if err != nil || string(args.list) != placeholder0+`,{"From":{"a":1,"b":`+placeholder1+`}}` || string(args.attachments[1]) != "mine" {
		t.Errorf("%s %q, %v", args.list, args.attachments, err)
	}
	came.attachments = nil
	object, _ = came.Object(0)
	if _, err := NewArgs(object); err == nil {
		t.Error("an object that refers to nothing was taken")
	}
}

func TestNewArgsRefusesArguments(t *testing.T) {
	args := mustArgs(1)
	for _, values := range [][]any{{args}, {"room", &args}, {struct{ A Args }{args}}, {[]any{args}}, {map[string]Args{"a": args}}} {
		if _, err := NewArgs(values...); !errors.Is(err, ErrArgs) {
			t.Errorf("%T: %v", values[len(values)-1], err)
		}
	}
}

func TestNewArgsEndsWithCircles(t *testing.T) {
	type node struct {
		Next, Previous *node
		Data           []byte
	}
	circle := &node{}
	circle.Next, circle.Previous = circle, circle
	list := []any{nil}
	list[0] = list
	for _, value := range []any{circle, list, func() {}, map[bool]any{true: 1}, struct{ C []chan int }{make([]chan int, 1)}} {
		if _, err := NewArgs(value); err == nil {
			t.Errorf("%T was encoded", value)
		}
	}
}

// What was encoded is decoded to the same.
func TestArgsThereAndBack(t *testing.T) {
	type message struct {
		Text  string
		Parts []struct {
			Data []byte
			N    int
		}
		By map[string][]byte
	}
	want := message{Text: "<ä>", By: map[string][]byte{"x": []byte("1"), "y": []byte("2")}}
	want.Parts = make([]struct {
		Data []byte
		N    int
	}, 2)
	want.Parts[0].Data, want.Parts[1].N = []byte("part"), 7
	args, err := NewArgs("first", want, []byte("last"))
	if err != nil {
		t.Fatal(err)
	}
	var first string
	var got message
	var last []byte
	if err := args.Decode(&first, &got, &last); err != nil || first != "first" || !reflect.DeepEqual(got, want) || string(last) != "last" {
		t.Errorf("%q %+v %q, %v", first, got, last, err)
	}
}
