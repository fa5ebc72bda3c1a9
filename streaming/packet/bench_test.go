package packet

import (
	"strings"
	"testing"
)

var benchmarkPackets = []struct{ name, text string }{
	{"connect", `0/admin,{"token":"secret"}`},
	{"event", `2["message",{"from":"ann","text":"hello"}]`},
	{"event asking for an answer", `2/admin,12["message",{"from":"ann","text":"hello"}]`},
	{"binary event", `51-["stream:data",{"streamId":"one","n":12,"chunk":` + placeholder0 + `}]`},
	{"16 KiB", `2["message","` + strings.Repeat("x", 16<<10) + `"]`},
	{"1,000 numbers", `2["message",[` + strings.TrimSuffix(strings.Repeat("12345,", 1000), ",") + `]]`},
	{"binary, nested 500 deep", `51-["message",` + strings.Repeat("[", 500) + placeholder0 + strings.Repeat("]", 500) + `]`},
}

func BenchmarkDecodePacket(b *testing.B) {
	for _, test := range benchmarkPackets {
		b.Run(test.name, func(b *testing.B) {
			text := []byte(test.text)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := Decode(text, maxAttachments); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValidJSON(b *testing.B) {
	for _, test := range benchmarkPackets[1:] {
		b.Run(test.name, func(b *testing.B) {
			text := []byte(test.text[strings.Index(test.text, "["):])
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if !validJSON(text) {
					b.Fatal("not valid")
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, test := range []struct {
		name string
		args Args
	}{
		{"no arguments", Args{}},
		{"text", mustArgs(map[string]string{"from": "ann", "text": "hello"})},
		{"16 KiB", mustArgs(strings.Repeat("x", 16<<10))},
		{"16 KiB binary", func() Args {
			var args ArgsBuilder
			args.Add(map[string]any{"streamId": "one", "chunk": args.Binary(make([]byte, 16<<10))})
			built, _ := args.Args()
			return built
		}()},
	} {
		b.Run(test.name, func(b *testing.B) {
			p := Packet{Type: TypeEvent, Namespace: "/", Event: "message", Args: test.args}
			b.ReportAllocs()
			for b.Loop() {
				_ = p.Encode()
			}
		})
	}
}
