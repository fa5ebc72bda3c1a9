package packet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestValidJSON(t *testing.T) {
	deep := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	objects := func(levels int) string {
		return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
	}
	for text, want := range map[string]bool{
		`null`: true, `1`: true, `-0.5e+10`: true, `"x"`: true, `""`: true, `[]`: true, `{}`: true, ` [ 1 , { "a" : [ ] } ] `: true,
		`"[[[[{{{{"`: true, `"\"["`: true, `"\\"`: true, `"\u0000\ud800"`: true, `{"a":1,"a":2}`: true,
		``: false, ` `: false, `[`: false, `]`: false, `[}`: false, `{]`: false, `[1,]`: false, `[,1]`: false, `{"a"}`: false, `{"a":}`: false, `{a:1}`: false,
		`"`: false, `"\`: false, `"\"`: false, `"\x"`: false, "\"\n\"": false, `01`: false, `+1`: false, `.5`: false, `NaN`: false, `undefined`: false, `1 2`: false, `[1][2]`: false,
		`]]]][[[[`: false, `'x'`: false, `// comment`: false, "\ufeff[]": false,
	} {
		if got := validJSON([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, nest := range []func(int) string{deep, objects} {
		for levels, want := range map[int]bool{1: true, 500: true, MaxDepth: true, MaxDepth + 1: false, 9000: false, 20_000: false} {
			if got := validJSON([]byte(nest(levels))); got != want {
				t.Errorf("%d levels: %v", levels, got)
			}
		}
	}
	// What is side by side does not count as deep.
	if !validJSON([]byte("[" + strings.Repeat(deep(10)+",", 1000) + "0]")) {
		t.Error("many arrays side by side")
	}
}

func TestElements(t *testing.T) {
	for list, want := range map[string][]string{
		``:                                       nil,
		" \t\r\n":                                nil,
		`1`:                                      {`1`},
		`1,2`:                                    {`1`, `2`},
		` 1 , "a,b" ,[1,[2]] ,{"a":[1,2]},null `: {`1`, `"a,b"`, `[1,[2]]`, `{"a":[1,2]}`, `null`},
		`"\"",",]}"`:                             {`"\""`, `",]}"`},
		`[],{},""`:                               {`[]`, `{}`, `""`},
		`[ ] , { "}" : "{" }`:                    {`[ ]`, `{ "}" : "{" }`},
	} {
		var got []string
		for element := range elements([]byte(list)) {
			got = append(got, string(element))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", list, got)
		}
		// Stopping early is fine.
		for element := range elements([]byte(list)) {
			if string(element) != want[0] {
				t.Errorf("%s: first %q", list, element)
			}
			break
		}
	}
}

func TestMembers(t *testing.T) {
	for object, want := range map[string][]string{
		`{}`:                                  nil,
		` { } `:                               nil,
		`{"a":1}`:                             {`a=1`},
		`{"":""}`:                             {`=""`},
		`{"a":1,"A":2,"a":3}`:                 {`a=1`, `A=2`, `a=3`},
		` { "a" : [1,{"b":2}] , "c" : "}" } `: {`a=[1,{"b":2}]`, `c="}"`},
		`{"stre\u0061mId":1,"a\"b":2,"\\":3}`: {`streamId=1`, `a"b=2`, `\=3`},
		`{"{":{"}":"{"},"[":["]"]}`:           {`{={"}":"{"}`, `[=["]"]`},
		`{"ä":1,"\u00e4":2,"\ud83d\ude00":3}`: {`ä=1`, `ä=2`, `😀=3`},
	} {
		var got []string
		for name, value := range members([]byte(object)) {
			got = append(got, fmt.Sprintf("%s=%s", name, value))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", object, got)
		}
		for range members([]byte(object)) {
			break
		}
	}
}

func TestUnquote(t *testing.T) {
	for data, want := range map[string]string{
		`""`: "", `"x"`: "x", `"\""`: `"`, `"\\"`: `\`, `"\u0061\n"`: "a\n", `"\ud83d\ude00"`: "😀", `"\ud800"`: "\ufffd", `"ä"`: "ä",
	} {
		if got, ok := unquote([]byte(data)); !ok || got != want {
			t.Errorf("%s: %q, %v", data, got, ok)
		}
	}
	for _, data := range []string{``, `1`, `null`, `{}`, `[]`, `true`, `x`} {
		if got, ok := unquote([]byte(data)); ok {
			t.Errorf("%s: %q", data, got)
		}
	}
	for _, text := range []string{"", "x", `"`, `\`, "\x00\x1f", "<>&\u2028", "😀"} {
		if got, ok := unquote(quote(text)); !ok || got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestPlaceholderNumber(t *testing.T) {
	for value, want := range map[string]struct {
		number int
		is     bool
	}{
		placeholder0:                                       {0, true},
		`{"num":3,"_placeholder":true}`:                    {3, true},
		` {"_placeholder":true,"num":0}`:                   {0, false}, // values come without spaces around them
		`{ "_placeholder" : true , "num" : 12 }`:           {12, true},
		`{"_pl\u0061ceholder":true,"num":1}`:               {1, true},
		`{"\u005f\u0070laceholder":true,"num":1}`:          {1, true},
		`{"_placeholder":true}`:                            {-1, true},
		`{"_placeholder":true,"num":-1}`:                   {-1, true},
		`{"_placeholder":true,"num":1.0}`:                  {-1, true},
		`{"_placeholder":true,"num":1e2}`:                  {-1, true},
		`{"_placeholder":true,"num":"1"}`:                  {-1, true},
		`{"_placeholder":true,"num":null}`:                 {-1, true},
		`{"_placeholder":true,"num":99999999999999999999}`: {-1, true},
		`{"_placeholder":true,"num":1,"num":2}`:            {2, true},
		`{"_placeholder":true,"num":1,"num":"x"}`:          {-1, true},
		`{"_placeholder":true,"num":1,"_placeholder":0}`:   {1, false},
		`{"_placeholder":false,"num":1}`:                   {1, false},
		`{"_placeholder":"true","num":1}`:                  {1, false},
		`{"_PLACEHOLDER":true,"num":1}`:                    {0, false},
		`{"a":{"_placeholder":true,"num":1}}`:              {-1, false},
		`{"num":1}`:                                        {0, false},
		`"_placeholder"`:                                   {0, false},
		`[{"_placeholder":true}]`:                          {0, false},
		``:                                                 {0, false},
	} {
		number, is := placeholderNumber([]byte(value))
		if is != want.is || is && number != want.number {
			t.Errorf("%s: %d, %v", value, number, is)
		}
	}
}

func TestCountPlaceholders(t *testing.T) {
	for _, test := range []struct {
		value       string
		attachments int
		count       int
		ok          bool
	}{
		{``, 0, 0, true},
		{` `, 0, 0, true},
		{`1`, 0, 0, true},
		{`[]`, 0, 0, true},
		{`["x",{"a":[1,{}]}]`, 1, 0, true},
		{placeholder0, 1, 1, true},
		{` [ ` + placeholder0 + ` ] `, 1, 1, true},
		{`[` + placeholder0 + `,{"a":{"b":[{"_placeholder":true,"num":1}]}}]`, 2, 2, true},
		{`[` + placeholder0 + `,` + placeholder0 + `]`, 1, 2, true},
		{placeholder0, 0, 0, false},
		{`[{"a":{"_placeholder":true,"num":2}}]`, 2, 0, false},
		{`[{"a":{"_placeholder":true}}]`, 2, 0, false},
		// What is within a placeholder means nothing to clients.
		{`{"_placeholder":true,"num":0,"more":` + placeholder0 + `}`, 1, 1, true},
		{`{"_placeholder":false,"num":0,"more":` + placeholder0 + `}`, 1, 1, true},
		{`"` + strings.ReplaceAll(placeholder0, `"`, `\"`) + `"`, 1, 0, true},
		{strings.Repeat("[", 500) + placeholder0 + strings.Repeat("]", 500), 1, 1, true},
	} {
		count, ok := countPlaceholders([]byte(test.value), test.attachments)
		if ok != test.ok || ok && count != test.count {
			t.Errorf("%s: %d, %v", test.value, count, ok)
		}
	}
}

func TestArgs(t *testing.T) {
	for list, want := range map[string][]string{
		``:                 nil,
		`1`:                {`1`},
		` 1 , [2,3] , {} `: {`1`, `[2,3]`, `{}`},
	} {
		args := Args{list: []byte(list)}
		if args.Len() != len(want) || args.Size() != len(list) {
			t.Errorf("%q: length %d, size %d", list, args.Len(), args.Size())
		}
		for i := range len(want) + 2 {
			var rest []string
			for value := range args.Skip(i).All() {
				rest = append(rest, string(value))
			}
			if w := want[min(i, len(want)):]; !slices.Equal(rest, w) {
				t.Errorf("%q without %d: %q", list, i, rest)
			}
			if got := args.At(i); i < len(want) && string(got) != want[i] || i >= len(want) && got != nil {
				t.Errorf("%q at %d: %q", list, i, got)
			}
		}
	}
}

func TestArgsSkipKeepsAttachmentsThatAreUsed(t *testing.T) {
	args := Args{list: []byte(placeholder0 + `,"x",{"a":{"_placeholder":true,"num":1}},3`), attachments: [][]byte{[]byte("one"), []byte("two")}}
	for skip, want := range []int{2, 2, 2, 0, 0} {
		if got := len(args.Skip(skip).attachments); got != want {
			t.Errorf("without %d: %d attachments, want %d", skip, got, want)
		}
	}
	if args.Size() != len(args.list)+6 {
		t.Errorf("size %d", args.Size())
	}
}

func TestObject(t *testing.T) {
	args := Args{
		list: []byte(`{"streamId":"mine","STREAMID":"other","streamid":"other","a":1,"a":[2],"n":null,"stre\u0061mId2":"x",` +
			`"data":` + placeholder0 + `,"bad":{"_placeholder":true,"num":1}},[],"x"`),
		attachments: [][]byte{[]byte("one")},
	}
	object, ok := args.Object(0)
	if !ok {
		t.Fatal("the object was not found")
	}
	for i := 1; i < 5; i++ {
		if _, ok := args.Object(i); ok {
			t.Errorf("argument %d is an object", i)
		}
	}
	for name, want := range map[string]string{"streamId": `"mine"`, "STREAMID": `"other"`, "StreamId": "", "a": "[2]", "n": "null", "streamId2": `"x"`, "": ""} {
		if got := string(object.Field(name)); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if text, ok := object.Text("streamId"); !ok || text != "mine" {
		t.Errorf("text %q, %v", text, ok)
	}
	for _, name := range []string{"a", "n", "data", "nothing"} {
		if text, ok := object.Text(name); ok {
			t.Errorf("%s: text %q", name, text)
		}
	}
	if data, ok := object.Binary("data"); !ok || string(data) != "one" {
		t.Errorf("binary %q, %v", data, ok)
	}
	for _, name := range []string{"a", "bad", "streamId", "nothing"} {
		if data, ok := object.Binary(name); ok {
			t.Errorf("%s: binary %q", name, data)
		}
	}
	if _, ok := (Args{list: []byte(placeholder0)}).Binary([]byte(placeholder0)); ok {
		t.Error("an attachment that is not there was found")
	}
	if _, ok := (Object{}).Text("x"); ok {
		t.Error("the zero object has a field")
	}
}

// Of equal names the last counts, as in encoding/json and in JavaScript.
func TestObjectWithout(t *testing.T) {
	for object, want := range map[string]string{
		`{}`:                       `{}`,
		`{"a":1, "b":2}`:           `{"a":1, "b":2}`,
		`{"pid":"x","offset":"y"}`: `{}`,
		`{"pid":"x","offset":"y","a":{"b":[1,2]},"c":"d"}`: `{"a":{"b":[1,2]},"c":"d"}`,
		`{"a":1,"offset":null , "b" : 2}`:                  `{"a":1,"b":2}`,
		`{"a":1,"p\u0069d":1,"pid":2,"PID":3}`:             `{"a":1,"PID":3}`,
		`{"a":{"pid":1},"pids":2}`:                         `{"a":{"pid":1},"pids":2}`,
	} {
		o, err := NewObject([]byte(object))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(o.Without("pid", "offset").JSON()); got != want {
			t.Errorf("%s: %s, want %s", object, got, want)
		}
	}
	if got := (Object{}).Without("pid").JSON(); string(got) != "{}" {
		t.Errorf("the zero object: %s", got)
	}
}

func TestObjectDuplicatesLastWins(t *testing.T) {
	for _, text := range []string{
		`{"streamId":"a","streamId":"b"}`,
		`{"streamId":"a","stre\u0061mId":"b"}`,
		`{"\u0073treamId":"a","streamId":"b"}`,
		`{"streamId":"a","x":{"streamId":"c"},"streamId":"b"}`,
	} {
		object, _ := (Args{list: []byte(text)}).Object(0)
		var want map[string]any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got, _ := object.Text("streamId"); got != want["streamId"] {
			t.Errorf("%s: %q, want %q", text, got, want["streamId"])
		}
	}
	object, _ := (Args{list: []byte(`{"streamId":"a","streamId":7}`)}).Object(0)
	if text, ok := object.Text("streamId"); ok {
		t.Errorf("text %q", text)
	}
}
