package packet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

// received makes arguments of what a client has sent.
func received(t testing.TB, list string, attachments ...[]byte) Args {
	t.Helper()
	args, err := ParseArgs([]byte("[" + list + "]"))
	if err != nil {
		t.Fatal(err)
	}
	args.attachments = attachments
	return args
}

const placeholder1 = `{"_placeholder":true,"num":1}`

func TestDecodeTakesTheArgumentsOneByOne(t *testing.T) {
	var (
		name  string
		count int
		list  []float64
	)
	if err := received(t, `"ann", 7 , [1,2.5], "more"`).Decode(&name, &count, &list); err != nil {
		t.Fatal(err)
	}
	if name != "ann" || count != 7 || !reflect.DeepEqual(list, []float64{1, 2.5}) {
		t.Error(name, count, list)
	}
	if err := received(t, ``).Decode(); err != nil {
		t.Error("nothing of nothing:", err)
	}
}

func TestDecodeSaysWhichArgumentDoesNotFit(t *testing.T) {
	type tag struct{ Name string }
	type user struct {
		Age  int              `json:"age"`
		Tags []tag            `json:"tags"`
		By   map[string][]int `json:"by"`
	}
	var text string
	for list, want := range map[string]struct {
		values []any
		where  string
		text   string
	}{
		``:                              {[]any{&text}, "argument 0", "argument 0 is missing"},
		`"a"`:                           {[]any{&text, &text}, "argument 1", "argument 1 is missing"},
		`"a",1`:                         {[]any{&text, &text}, "argument 1", ""},
		`{"age":"old"}`:                 {[]any{&user{}}, "age in argument 0", ""},
		`1,{"tags":[{},{"Name":1}]}`:    {[]any{new(int), &user{}}, "tags[1].Name in argument 1", ""},
		`{"by":{"x":[1,"2"]}}`:          {[]any{&user{}}, `by["x"][1] in argument 0`, ""},
		`{"by":{"` + long + `":["2"]}}`: {[]any{&user{}}, `by["` + long[:32] + `"][0] in argument 0`, ""},
		`"a",{}`:                        {[]any{&text, text}, "argument 1", ""},
	} {
		err := received(t, list).Decode(want.values...)
		var wrong *DecodeError
		if !errors.As(err, &wrong) || wrong.Where() != want.where {
			t.Errorf("%s: %v, want %s", list, err, want.where)
		}
		// The text is for clients, and has no names of Go types.
		if text := cmp.Or(want.text, want.where+" does not fit"); err.Error() != text || errors.Is(err, ErrMissing) != (want.text != "") {
			t.Errorf("%s: %v, want %s", list, err, text)
		}
	}
	var wrong *json.UnmarshalTypeError
	if err := received(t, `[]`).Decode(&text); !errors.As(err, &wrong) || wrong.Value != "array" {
		t.Errorf("the reason of encoding/json is lost: %v", err)
	}
}

var long = strings.Repeat("n", 100)

// What a server has decoded, and checked, is what JavaScript clients read of the
// same bytes: they compare names exactly, and of equal names the last counts.
// TestDecodeTakesNoNullForWhatIsNotThere holds that a handler does not take null for a value: only
// what has a null of its own takes it.
func TestDecodeTakesNoNullForWhatIsNotThere(t *testing.T) {
	for name, value := range map[string]any{
		"struct": new(struct{ A int }), "bytes": new([]byte), "string": new(string), "number": new(int),
		"bool": new(bool), "array": new([2]int), "object": new(Object),
	} {
		var refused *DecodeError
		err := received(t, `1,null`).Decode(new(int), value)
		if !errors.Is(err, ErrNull) || !errors.As(err, &refused) || refused.Argument != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	number := 7
	pointer, list, dictionary, anything := &number, []int{1}, map[string]int{"a": 1}, any(1)
	var raw json.RawMessage
	var args Args
	if err := received(t, `null,null,null,null,null,null`).Decode(&pointer, &list, &dictionary, &anything, &raw, &args); err != nil {
		t.Fatal(err)
	}
	if pointer != nil || list != nil || dictionary != nil || anything != nil || string(raw) != "null" || args.Len() != 1 {
		t.Error(pointer, list, dictionary, anything, string(raw), args)
	}
	// Within an argument null is as good as a field that is not there.
	within := struct{ Data []byte }{[]byte("before")}
	if err := received(t, `{"Data":null}`).Decode(&within); err != nil || within.Data != nil {
		t.Error(within, err)
	}
}

func TestDecodeReadsWhatJavaScriptReads(t *testing.T) {
	type inner struct{ X, Y int }
	type join struct {
		Room string `json:"room"`
		Deep inner  `json:"deep"`
		List []inner
	}
	for object, want := range map[string]join{
		`{"room":"mine"}`:                      {Room: "mine"},
		`{"Room":"mine"}`:                      {},
		`{"room":"mine","ROOM":"yours"}`:       {Room: "mine"},
		`{"ROOM":"mine","room":"yours"}`:       {Room: "yours"},
		`{"room":"mine","room":"yours"}`:       {Room: "yours"},
		`{"r\u006fom":"mine"}`:                 {Room: "mine"},
		`{"\u212aoom":"mine","deep":{"x":1}}`:  {},
		`{"deep":{"X":1},"deep":{"Y":2}}`:      {Deep: inner{Y: 2}},
		`{"List":[{"X":1}],"List":[{"Y":2}]}`:  {List: []inner{{Y: 2}}},
		`{"list":[{"X":1}],"deep":null}`:       {},
		`{"deep":{"X":1,"X":2,"x":3},"ro":[]}`: {Deep: inner{X: 2}},
	} {
		var got join
		if err := received(t, object).Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", object, got, err, want)
		}
	}
	var names map[string]inner
	if err := received(t, `{"a":{"X":1},"A":{"X":3},"a":{"Y":2}}`).Decode(&names); err != nil ||
		!reflect.DeepEqual(names, map[string]inner{"a": {Y: 2}, "A": {X: 3}}) {
		t.Error(names, err)
	}
}

func TestDecodeKeepsWhatIsNotGiven(t *testing.T) {
	options := struct{ Size, Count int }{10, 20}
	if err := received(t, `{"Count":3}`).Decode(&options); err != nil || options.Size != 10 || options.Count != 3 {
		t.Error(options, err)
	}
}

func TestDecodeBinary(t *testing.T) {
	first, second := []byte("first"), []byte("second")
	var whole []byte
	var nested struct {
		Name  string
		Chunk []byte
		Parts [][]byte
		By    map[string][]byte
		Any   any
		None  []byte
		Deep  *struct{ Data []byte }
	}
	args := received(t, placeholder1+`,{"Name":"a","Chunk":`+placeholder0+`,"Parts":[`+placeholder1+`,`+placeholder0+`],"By":{"x":`+
		placeholder1+`},"Any":{"list":[`+placeholder0+`,1,{"_placeholder":false,"num":0}]},"None":null,"Deep":{"Data":`+placeholder1+`}}`, first, second)
	if err := args.Decode(&whole, &nested); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(whole, second) || nested.Name != "a" || !bytes.Equal(nested.Chunk, first) || nested.None != nil ||
		!reflect.DeepEqual(nested.Parts, [][]byte{second, first}) || !bytes.Equal(nested.By["x"], second) || !bytes.Equal(nested.Deep.Data, second) ||
		!reflect.DeepEqual(nested.Any, map[string]any{"list": []any{first, 1.0, map[string]any{"_placeholder": false, "num": 0.0}}}) {
		t.Errorf("%q %+v", whole, nested)
	}
	if &whole[0] != &second[0] {
		t.Error("the bytes were copied")
	}
}

// Binary data and text are never taken for each other.
func TestDecodeTellsBinaryFromText(t *testing.T) {
	var data []byte
	var nested struct{ Data []byte }
	var text string
	for _, test := range []struct {
		list string
		into any
	}{
		{`"aGVsbG8="`, &data},
		{`[1,2,3]`, &data},
		{`{"type":"Buffer","data":[1]}`, &data},
		{`{"_placeholder":true,"num":7}`, &data},
		{`{"Data":"aGVsbG8="}`, &nested},
	} {
		if err := received(t, test.list, []byte("attachment")).Decode(test.into); !errors.Is(err, ErrNotBinary) {
			t.Errorf("%s: %v", test.list, err)
		}
	}
	for _, into := range []any{&text, &nested, new(map[string]int), new(map[string]any), new(int), new([]any)} {
		if err := received(t, placeholder0, []byte("attachment")).Decode(into); err == nil {
			t.Errorf("binary data was taken for a %T: %v", into, reflect.ValueOf(into).Elem())
		}
	}
	// Without attachments it is an object like others, for JavaScript too.
	var object any
	if err := received(t, placeholder0).Decode(&object); err != nil || !reflect.DeepEqual(object, map[string]any{"_placeholder": true, "num": 0.0}) {
		t.Error(object, err)
	}
}

func TestDecodeLeavesWhatIsPassedOn(t *testing.T) {
	var got struct {
		Raw    json.RawMessage
		Args   Args
		Object Object
	}
	args := received(t, `{"Raw":{"a": 1},"Args":[`+placeholder0+`],"Object":{"Data":`+placeholder0+`,"data":1}}`, []byte("attachment"))
	if err := args.Decode(&got); err != nil {
		t.Fatal(err)
	}
	data, _ := got.Object.Binary("Data")
	if string(got.Raw) != `{"a": 1}` || string(got.Args.AppendJSON(nil)) != `[[`+placeholder0+`]]` || len(got.Args.Attachments()) != 1 || string(data) != "attachment" {
		t.Errorf("%+v", got)
	}
	if err := received(t, `[]`).Decode(&got.Object); err == nil {
		t.Error("an array was taken for an object")
	}
}

type colour int

func (c *colour) UnmarshalText(text []byte) error {
	*c = colour(len(text))
	return nil
}

type embeddedBase struct {
	ID   int `json:"id"`
	Name string
	Both string
}

type embeddedOther struct{ Both, Own string }

type everything struct {
	embeddedBase
	*EmbeddedPointer
	embeddedOther
	Name    string `json:"name"`
	Skipped string `json:"-"`
	Dash    string `json:"-,"`
	Text    int    `json:"text,string"`
	Opt     *int   `json:"opt,omitempty"`
	Zero    time.Time
	Omitted time.Time `json:",omitzero"`
	Big     *big.Int
	Colour  colour
	ByInt   map[int8]string
	ByText  map[colour]bool
	Array   [2]int
	Nested  *everything
	Any     any
	Float   float32
	Number  json.Number
	Bytes   [3]byte
}

// EmbeddedPointer is exported so that it can be made.
type EmbeddedPointer struct{ Far string }

// But for names and binary data, Decode and NewArgs are what encoding/json is.
func TestValuesAreDecodedAndEncodedAsByEncodingJSON(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{"id":3,"Name":"base","name":"own","Both":"none","Own":"o","Far":"f","-":"dash","Skipped":"x"}`,
		`{"text":"12","opt":5,"Zero":"2024-01-02T03:04:05Z","Omitted":"2024-01-02T03:04:05Z","Big":123456789012345678901234567890}`,
		`{"Colour":"blue","ByInt":{"1":"a","-2":"b"},"ByText":{"abc":true},"Array":[1,2,3]}`,
		`{"Array":[1],"Nested":{"id":1,"Nested":{"Any":[1,"a",{"b":null}]}},"Any":{"x":1e3},"Float":1.5,"Number":12.50,"Bytes":[1,2,3]}`,
		`{"opt":null,"Nested":null,"Any":null,"ByInt":null,"Big":null,"Colour":null}`,
		`{"Any":"\ud83d\ude00\ud800<&>\u2028"}`,
		`{"text":12}`, `{"text":"x"}`, `{"Float":1e300}`, `{"id":1.5}`, `{"id":9223372036854775808}`, `{"ByInt":{"200":"x"}}`,
		`{"Number":"x"}`, `{"Number":true}`, `{"Array":{}}`, `{"Nested":[]}`, `{"ByInt":[]}`, `{"name":1}`, `{"Big":"x"}`, `{"Bytes":"AQID"}`,
	} {
		var want, got everything
		wantErr := json.Unmarshal([]byte(text), &want)
		gotErr := received(t, text).Decode(&got)
		if (wantErr != nil) != (gotErr != nil) {
			t.Errorf("%s: %v, encoding/json: %v", text, gotErr, wantErr)
			continue
		}
		if wantErr != nil {
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v\n%+v", text, got, want)
		}
		encoded, err := json.Marshal(&want)
		if err != nil {
			t.Fatal(err)
		}
		// The second argument has it encoded by what knows binary data.
		args, err := NewArgs(&got, struct {
			V    *everything
			Data []byte
		}{&got, nil})
		if err != nil {
			t.Fatal(err)
		}
		if string(args.At(0)) != string(encoded) || string(args.At(1)) != `{"V":`+string(encoded)+`,"Data":null}` {
			t.Errorf("%s\n%s\n%s", encoded, args.At(0), args.At(1))
		}
	}
}

// FuzzDecode holds that what is decoded into a struct is what a reader with
// exact names finds in the same bytes.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`[{"room":"a","Room":"b","n":1,"list":["x"]}]`))
	f.Add([]byte(`[{"room":"a","room":"b","r\u006fom":"c"}]`))
	f.Add([]byte(`[{"data":{"_placeholder":true,"num":0},"any":{"deep":{"num":1,"_placeholder":true}}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		args, err := ParseArgs(text)
		if err != nil {
			return
		}
		args.attachments = [][]byte{[]byte("first"), []byte("second")}
		var got struct {
			Room *string  `json:"room"`
			N    *float64 `json:"n"`
			List []string `json:"list"`
			Data []byte   `json:"data"`
			Any  any      `json:"any"`
		}
		var read any
		if args.Decode(&got) != nil || args.Decode(&read) != nil {
			return
		}
		names, _ := read.(map[string]any)
		if room, ok := names["room"].(string); ok != (got.Room != nil) || ok && room != *got.Room {
			t.Errorf("%q: room %v", text, got.Room)
		}
		if n, ok := names["n"].(float64); ok != (got.N != nil) || ok && n != *got.N {
			t.Errorf("%q: n %v", text, got.N)
		}
		if data, ok := names["data"].([]byte); ok != (got.Data != nil) || !bytes.Equal(data, got.Data) {
			t.Errorf("%q: data %q", text, got.Data)
		}
		if list, _ := names["list"].([]any); len(list) != len(got.List) {
			t.Errorf("%q: list %q", text, got.List)
		}
		if !reflect.DeepEqual(names["any"], got.Any) {
			t.Errorf("%q: any %v", text, got.Any)
		}
	})
}

func BenchmarkArgsDecode(b *testing.B) {
	type message struct {
		From  string `json:"from"`
		Text  string `json:"text"`
		Count int    `json:"count"`
		Chunk []byte `json:"chunk"`
	}
	deep := strings.Repeat(`{"a":`, MaxDepth-1) + `"` + strings.Repeat("x", 1<<20) + `"` + strings.Repeat("}", MaxDepth-1)
	for _, test := range []struct {
		name string
		list string
		into func() any
	}{
		{"struct", `{"from":"ann","text":"hello","count":12,"chunk":` + placeholder0 + `}`, func() any { return new(message) }},
		{"text", `"hello"`, func() any { return new(string) }},
		{"1 MiB, nested 511 deep", deep, func() any { return new(any) }},
	} {
		b.Run(test.name, func(b *testing.B) {
			args := received(b, test.list, make([]byte, 16<<10))
			b.ReportAllocs()
			b.SetBytes(int64(len(test.list)))
			for b.Loop() {
				if err := args.Decode(test.into()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
