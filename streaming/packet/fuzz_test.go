package packet

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"
)

// FuzzDecodePacket decodes anything. What can be decoded, the server can also
// encode, and then it decodes to the same.
func FuzzDecodePacket(f *testing.F) {
	for _, text := range []string{
		`0`, `0/admin,{"token":"x"}`, `1`, `2["x"]`, `2/a,12["x",{"a":[null,true,1.5,"\u00e4"]}]`, `312[]`, `4{"message":"x"}`,
		`51-["x",` + placeholder0 + `]`, `62-/a,7[{"a":` + placeholder0 + `},{"num":1,"_placeholder":true}]`, `50-["x"]`, ` 2["x"]`, "4 0", "2 [ 7 , 1 ] ",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		given := bytes.Clone(text)
		p, err := Decode(text, maxAttachments)
		if !bytes.Equal(given, text) {
			t.Fatal("the text was changed")
		}
		if err != nil {
			return
		}
		for i := range p.expected {
			if p.Complete() {
				t.Fatalf("complete with %d of %d attachments", i, p.expected)
			}
			p.Attach([]byte{byte(i)})
		}
		if !p.Complete() {
			t.Fatal("not complete with all attachments")
		}
		if p.Payload != nil && !validJSON(p.Payload) {
			t.Fatalf("invalid payload %q", p.Payload)
		}
		if p.Type == TypeConnectError && !bytes.HasPrefix(p.Payload, []byte("{")) {
			// No server sends such, and "4 0" would become "40", an ID.
			return
		}
		out := Packet{Type: p.Type, Namespace: p.Namespace, ID: p.ID, HasID: p.HasID, Object: p.Payload}
		switch p.Type {
		case TypeEvent, TypeBinaryEvent:
			if out.Event, out.Args, err = p.Event(); err != nil {
				return
			}
			out.Type = TypeEvent
		case TypeAck, TypeBinaryAck:
			out.Args = p.Args()
			out.Type = TypeAck
		}
		encoded, attachments := contentOf(t, out.Encode())
		q, err := Decode(encoded, maxAttachments)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, encoded, err)
		}
		q.attachments = attachments
		if err := same(p, q); err != "" {
			t.Fatalf("%q became %q: another %s", text, encoded, err)
		}
	})
}

// same compares a packet with one that was made of it.
func same(p, q *Incoming) (different string) {
	kind := p.Type
	if p.expected == 0 && kind >= TypeBinaryEvent {
		// Without attachments there is no need for a binary packet.
		kind -= TypeBinaryEvent - TypeEvent
	}
	switch {
	case q.Type != kind:
		return "kind"
	case q.Namespace != p.Namespace && p.Namespace[0] == '/':
		return "namespace"
	case q.HasID != p.HasID || q.ID != p.ID:
		return "ID"
	case !slices.EqualFunc(p.attachments, q.attachments, bytes.Equal):
		return "list of attachments"
	}
	if p.Type != TypeEvent && p.Type != TypeBinaryEvent {
		if !bytes.Equal(p.Payload, q.Payload) {
			return "payload"
		}
		return ""
	}
	name, args, err := p.Event()
	otherName, otherArgs, otherErr := q.Event()
	switch {
	case err != nil || otherErr != nil:
		return "validity"
	case name != otherName && utf8.ValidString(name):
		return "name"
	case !bytes.Equal(args.list, otherArgs.list):
		return "list of arguments"
	}
	return ""
}

// FuzzJSON takes every valid JSON value apart, and compares with what
// encoding/json makes of it.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`null`, ` [ 1 , "a,b" , [ ] , { "a" : { } } ] `, `{"a":1,"a":[2],"\u0061":"\ud83d\ude00\"]}"}`, placeholder0, `"\ud800\u0000"`,
		`[` + placeholder0 + `,{"num":1,"_pl\u0061ceholder":true},{"_placeholder":true,"num":1e0}]`, `-0.5E+10`, `[[[[{"":[]}]]]]`, "\t\r\n[]", `{"_placeholder":true,"_placeholder":false}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			if validJSON(text) {
				t.Fatalf("%q is not JSON", text)
			}
			return
		}
		if !validJSON(text) {
			if deepest, _ := shape(text); deepest <= MaxDepth {
				t.Fatalf("%q is JSON", text)
			}
			return
		}
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			// A number that is too large, for example.
			return
		}
		count := 0
		text = bytes.TrimSpace(text)
		switch value := value.(type) {
		case []any:
			for element := range elements(text[1 : len(text)-1]) {
				if count == len(value) || !means(element, value[count]) {
					t.Fatalf("%q: element %d is %q", text, count, element)
				}
				count++
			}
			if count != len(value) {
				t.Fatalf("%q: %d elements, want %d", text, count, len(value))
			}
			if args := (Args{list: text[1 : len(text)-1]}); args.Len() != count || args.Skip(1).Len() != max(count-1, 0) {
				t.Fatalf("%q: %d arguments, %d without the first", text, args.Len(), args.Skip(1).Len())
			}
		case map[string]any:
			last := make(map[string]json.RawMessage)
			for name, member := range members(text) {
				if !utf8.Valid(text) {
					// encoding/json repairs names, and we never see such.
					return
				}
				last[name] = member
			}
			for name, member := range last {
				if !means(member, value[name]) {
					t.Fatalf("%q: member %q is %q", text, name, member)
				}
			}
			if len(last) != len(value) {
				t.Fatalf("%q: %d members, want %d", text, len(last), len(value))
			}
		case string:
			if got, ok := unquote(text); !ok || got != value && utf8.Valid(text) {
				t.Fatalf("%q: unquoted %q", text, got)
			}
		}
		const attachments = 3
		want, members, wantOK := naiveCount(value, attachments)
		if _, all := shape(text); all != members || !utf8.Valid(text) || bytes.ContainsAny(text, "eE.-") {
			// With equal names, odd numbers and bad text there is more than
			// one way to count.
			return
		}
		if got, ok := countPlaceholders(text, attachments); ok != wantOK || ok && got != want {
			t.Fatalf("%q: %d placeholders, %v, want %d, %v", text, got, ok, want, wantOK)
		}
	})
}

// means reports whether raw encodes the value.
func means(raw []byte, value any) bool {
	var got any
	return json.Unmarshal(raw, &got) == nil && reflect.DeepEqual(got, value)
}

// shape tells how deep a valid JSON text nests, and how many members its
// objects have altogether.
func shape(text []byte) (deepest, members int) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var open []json.Delim
	isName := false
	for {
		token, err := decoder.Token()
		if err != nil {
			return deepest, members
		}
		if delim, ok := token.(json.Delim); ok && (delim == '[' || delim == '{') {
			open = append(open, delim)
			deepest = max(deepest, len(open))
			isName = delim == '{'
			continue
		} else if ok {
			open = open[:len(open)-1]
		} else if isName {
			members++
			isName = false
			continue
		}
		// A value has ended: in an object a name is next.
		isName = len(open) > 0 && open[len(open)-1] == '{'
	}
}

// naiveCount counts placeholders the way a client does, and the members of
// all objects.
func naiveCount(value any, attachments int) (count, members int, ok bool) {
	ok = true
	var parts []any
	switch value := value.(type) {
	case []any:
		parts = value
	case map[string]any:
		members = len(value)
		for _, member := range value {
			parts = append(parts, member)
		}
		if value["_placeholder"] == true {
			number, isNumber := value["num"].(float64)
			count, ok = 1, isNumber && number >= 0 && number < float64(attachments)
		}
	}
	isPlaceholder := count == 1
	for _, part := range parts {
		n, m, partOK := naiveCount(part, attachments)
		members += m
		if !isPlaceholder {
			count, ok = count+n, ok && partOK
		}
	}
	return count, members, ok
}
