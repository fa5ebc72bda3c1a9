package redis

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// carried returns arguments as they arrive at another server.
func carried(args packet.Args) (packet.Args, error) {
	event := &packet.Packet{Type: packet.TypeEvent, Namespace: "/", Event: "e", Args: args}
	message, err := encodeBroadcast("me", event, streaming.Target{}, 1<<20)
	if err != nil {
		return packet.Args{}, err
	}
	b, err := readBroadcast(string(message), "you", "/")
	if err != nil {
		return packet.Args{}, err
	}
	return b.packet.Args, nil
}

// TestArgumentsArriveAsTheyAre holds that JSON means the same after it was carried.
func TestArgumentsArriveAsTheyAre(t *testing.T) {
	manyElements := "[" + strings.Repeat("1,", 70_000) + "1]"
	var members []string
	for i := range 300 {
		members = append(members, `"k`+strings.Repeat("x", i)+`":`+strings.Repeat("7", i%15+1))
	}
	for _, array := range []string{
		`[]`, `[null,true,false]`, `[0,1,127,128,255,256,65535,65536,4294967295,4294967296,9007199254740993,18446744073709551615]`,
		`[-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-9223372036854775808]`, `[1.5,-0.1,1e+300]`,
		`["","a\"b\\c","\u0000\u001f","ä€😀"]`, `[{"":{"a":[[],{}]}}]`, "[" + manyElements + "]",
		`["` + strings.Repeat("x", 31) + `","` + strings.Repeat("x", 32) + `","` + strings.Repeat("x", 256) + `","` + strings.Repeat("x", 65536) + `"]`,
		`[{` + strings.Join(members, ",") + `}]`, "[" + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "]",
		`[{"placeholder":true,"num":0}]`,
	} {
		args, err := packet.ParseArgs([]byte(array))
		if err != nil {
			t.Fatal(err)
		}
		got, err := carried(args)
		if text := string(got.AppendJSON(nil)); err != nil || text != array {
			t.Errorf("%.200s arrived as %.200s, %v", array, text, err)
		}
	}
	for array, want := range map[string]string{
		` [ 1 , { "a" : [ 2 , 3 ] , "b" : 1.0 } , 1e3 ] `: `[1,{"a":[2,3],"b":1},1000]`,
		`["\u00e4\ud83d\ude00\/"]`:                        `["ä😀/"]`,
		`[1e400]`:                                         `[null]`,
	} {
		args, err := packet.ParseArgs([]byte(array))
		if err != nil {
			t.Fatal(err)
		}
		got, err := carried(args)
		if text := string(got.AppendJSON(nil)); err != nil || text != want {
			t.Errorf("%s arrived as %s, %v", array, text, err)
		}
	}
}

func TestBinaryArgumentsArriveAsTheyAre(t *testing.T) {
	for _, size := range []int{0, 1, 255, 256, 70_000} {
		data := bytes.Repeat([]byte{7}, size)
		args, err := packet.NewArgs("first", map[string]any{"deep": []any{data, []byte("second")}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := carried(args)
		if err != nil || !bytes.Equal(got.AppendJSON(nil), args.AppendJSON(nil)) || len(got.Attachments()) != 2 ||
			!bytes.Equal(got.Attachments()[0], data) || string(got.Attachments()[1]) != "second" {
			t.Errorf("%d bytes arrived as %.100s with %d attachments, %v", size, got.AppendJSON(nil), len(got.Attachments()), err)
		}
	}
}

// TestOneAttachmentManyTimesIsBounded holds that a message does not become larger than it may by
// naming one attachment again and again.
func TestOneAttachmentManyTimesIsBounded(t *testing.T) {
	var b packet.ArgsBuilder
	place, _ := b.Binary(bytes.Repeat([]byte{1}, 1000)).MarshalJSON()
	for range 5000 {
		b.AddJSON(place)
	}
	args, _ := b.Args()
	if _, err := carried(args); !errors.Is(err, errTooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestUnreadableMessages holds that nothing that is out of order is taken for a broadcast.
func TestUnreadableMessages(t *testing.T) {
	good, err := encodeBroadcast("me", &packet.Packet{Namespace: "/", Event: "e"}, streaming.Target{}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	deep := append(appendStr([]byte{fixArray | 3}, "me"), append(appendStr([]byte{fixMap | 1}, "x"), bytes.Repeat([]byte{fixArray | 1}, 1<<20)...)...)
	event := func(data ...byte) []byte {
		return append(append(appendStr(append(appendStr([]byte{fixArray | 3}, "me"), fixMap|1), "data"), data...), fixMap)
	}
	for name, message := range map[string][]byte{
		"nothing":                  {},
		"a number":                 {1},
		"an array of two":          {fixArray | 2, 1, 1},
		"an array of four billion": {array32, 0xff, 0xff, 0xff, 0xff},
		"a map of four billion":    append(appendStr([]byte{fixArray | 3}, "me"), map32, 0xff, 0xff, 0xff, 0xff),
		"a text of four billion":   {fixArray | 3, str32, 0xff, 0xff, 0xff, 0xff},
		"a form that is not used":  {fixArray | 3, 0xc1},
		"too deep":                 deep,
		"no event":                 event(fixArray),
		"an event of a number":     event(fixArray|1, 7),
		"no data":                  append(appendStr([]byte{fixArray | 3}, "me"), fixMap, fixMap),
		"binary of four billion":   event(append(appendStr([]byte{fixArray | 2}, "e"), bin32, 0xff, 0xff, 0xff, 0xff)...),
		"binary without end":       event(append(appendStr([]byte{fixArray | 2}, "e"), bytes.Repeat([]byte{bin8, 0}, 5)...)...)[:20],
		"too many binaries":        event(append(appendStr(appendArray(nil, 2001), "e"), bytes.Repeat([]byte{bin8, 0}, 2000)...)...),
		"an unknown extension":     event(append(appendStr([]byte{fixArray | 2}, "e"), fixExt1, 5, 5)...),
		"a long timestamp":         event(append(appendStr([]byte{fixArray | 2}, "e"), ext8, 5, timestampType, 1, 2, 3, 4, 5)...),
		"a placeholder":            event(append(appendStr(append(appendStr([]byte{fixArray | 2}, "e"), fixMap|1), placeholderName), trueForm)...),
		"a reserved event":         event(appendStr([]byte{fixArray | 1}, "disconnect")...),
		"JSON":                     []byte(`["me",{"type":2,"data":["e"]},{}]`),
	} {
		if b, err := readBroadcast(string(message), "you", "/"); err == nil {
			t.Errorf("%s was read as %+v", name, b)
		}
	}
	for i := range good {
		if b, err := readBroadcast(string(good[:i]), "you", "/"); err == nil {
			t.Errorf("%d of %d bytes were read as %+v", i, len(good), b)
		}
	}
	if _, err := readBroadcast(string(good), "you", "/"); err != nil {
		t.Errorf("what is in order: %v", err)
	}
}

// FuzzMessages holds that nothing that others publish makes a server panic, or hand something to
// clients that is not JSON.
func FuzzMessages(f *testing.F) {
	for _, p := range transcript(f) {
		f.Add(p.Message)
	}
	a := testAdapter()
	f.Fuzz(func(t *testing.T, message []byte) {
		text := string(message)
		if b, err := readBroadcast(text, "me", "/"); err == nil && b != nil {
			array := b.packet.Args.AppendJSON(nil)
			if _, err := packet.ParseArgs(array); err != nil {
				t.Fatalf("arguments %q: %v", array, err)
			}
			_ = b.packet.Message()
			if len(array) > 40*len(message)+100 {
				t.Fatalf("%d bytes became %d", len(message), len(array))
			}
			if _, err := encodeBroadcast("you", &b.packet, b.target, 1<<20); err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, errTooDeep) {
				t.Fatalf("%q cannot be written again: %v", array, err)
			}
		}
		_ = pubsub{}.takeRequest(a, text)
		a.pending["r"] = &pending{func(e *envelope) { a.states(e); a.reply(e) }}
		_ = pubsub{}.takeResponse(a, text)
		if strings.HasPrefix(text, "{") {
			_ = pubsub{}.takeResponse(a, strings.Replace(text, "{", `{"requestId":"r",`, 1))
		}
	})
}

// testAdapter is an adapter of a server without clients, which is connected to nothing.
func testAdapter() *adapter {
	var made *adapter
	server := streaming.New(streaming.Options{Adapter: func(l streaming.Local) (streaming.Adapter, error) {
		made = newAdapter(NewNode(), l)
		return made, nil
	}}, nil)
	server.Of("/")
	return made
}
