package packet

import (
	"strings"
	"testing"
)

func TestParseArgsRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "",
		"blanks":            " \n",
		"an object":         `{"a":1}`,
		"a string":          `"[]"`,
		"null":              `null`,
		"no end":            `[1,2`,
		"two arrays":        `[1][2]`,
		"a trailing comma":  `[1,]`,
		"a bare word":       `[nope]`,
		"invalid UTF-8":     "[\"\xff\"]",
		"half a surrogate":  "[\"\xed\xa0\x80\"]",
		"a raw line break":  "[\"a\nb\"]",
		"nests too deeply":  strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
		"an open string":    `["a]`,
		"something after":   `[1] x`,
		"a control byte":    "[\"\x00\"]",
		"a number too many": `[01]`,
	} {
		if args, err := ParseArgs([]byte(text)); err == nil {
			t.Errorf("%s: %q was taken as %s", name, text, args.AppendJSON(nil))
		}
	}
}

func TestParseArgs(t *testing.T) {
	for text, want := range map[string]struct {
		values []string
		json   string
	}{
		`[]`:                    {nil, `[]`},
		" [ ] ":                 {nil, `[]`},
		`[1]`:                   {[]string{"1"}, `[1]`},
		"[ 1 , \"b\",\n[2] ]\n": {[]string{"1", `"b"`, "[2]"}, "[1 , \"b\",\n[2]]"},
		`[{"_placeholder":true,"num":0}]`: {[]string{`{"_placeholder":true,"num":0}`},
			`[{"_placeholder":true,"num":0}]`},
	} {
		args, err := ParseArgs([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var values []string
		for value := range args.All() {
			values = append(values, string(value))
		}
		if strings.Join(values, "|") != strings.Join(want.values, "|") || args.Len() != len(want.values) {
			t.Errorf("%q: got %q, want %q", text, values, want.values)
		}
		if got := string(args.AppendJSON(nil)); got != want.json {
			t.Errorf("%q as JSON: %s, want %s", text, got, want.json)
		}
	}
}

// FuzzParseArgs holds that what is taken is one array of what All yields.
func FuzzParseArgs(f *testing.F) {
	f.Add([]byte(`[1,"a",{"b":[null]}]`))
	f.Add([]byte("[ \t]"))
	f.Add([]byte(`["\ud800"]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		args, err := ParseArgs(text)
		if err != nil {
			return
		}
		again, err := ParseArgs(args.AppendJSON(nil))
		if err != nil || again.Len() != args.Len() {
			t.Errorf("%q: %d arguments, then %d, %v", text, args.Len(), again.Len(), err)
		}
	})
}
