package wire_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// A message is built once. Here it is written for a client on long-polling,
// decoded again, and read from what a client has sent over a WebSocket.
func Example() {
	message := wire.New([][]byte{[]byte("a picture")}, [][]byte{{1, 2, 3}}, wire.Volatile)
	var answer bytes.Buffer
	uncounted := func(int) {}
	payload := wire.NewPayload([]*wire.Message{message}, wire.Bytes)
	if err := payload.Write(&answer, uncounted); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%q\n", answer.String())

	for packet, ok := range wire.DecodePayload(answer.Bytes()) {
		fmt.Printf("%t %t %q\n", ok, packet.Binary, packet.Data)
	}

	const limit = 1_000_000 // bytes
	sent, _ := ws.CompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("4hello"))))
	reader := wire.NewReader(strings.NewReader(string(sent)), limit, nil)
	defer reader.Release()
	op, data, err := reader.Next()
	if err != nil {
		fmt.Println(err)
		return
	}
	packet, ok := wire.DecodeText(data)
	fmt.Println(op == ws.OpText, ok, packet.Type == wire.PacketMessage, string(packet.Data))
	// Output:
	// "4a picture\x1ebAQID"
	// true false "a picture"
	// true true "\x01\x02\x03"
	// true true true hello
}
