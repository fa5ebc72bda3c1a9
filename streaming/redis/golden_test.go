package redis

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// published is a message that two servers of Node.js with @socket.io/redis-adapter 8.3, or an emitter,
// have published, and what was asked of them.
type published struct {
	Step    string `json:"step"`
	Channel string `json:"channel"`
	Message []byte `json:"message"`
}

// transcript reads testdata/node.jsonl.
func transcript(t testing.TB) (list []published) {
	t.Helper()
	if list = readLines[published](t, "testdata/node.jsonl"); len(list) < 40 {
		t.Fatalf("%d messages in the transcript", len(list))
	}
	return list
}

// readLines reads a file with a JSON value in each line.
func readLines[T any](t testing.TB, name string) (list []T) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var value T
		if err := json.Unmarshal(lines.Bytes(), &value); err != nil {
			t.Fatal(err)
		}
		list = append(list, value)
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	return list
}

// texts is a broadcast in a form that can be compared.
func texts(b *broadcast) string {
	var attachments []string
	for _, data := range b.packet.Args.Attachments() {
		attachments = append(attachments, fmt.Sprintf("%x", data))
	}
	return fmt.Sprintf("%s %s %v to %v except %v flags %d", b.packet.Event, b.packet.Args.AppendJSON(nil), attachments,
		b.target.Rooms, b.target.Except, b.packet.Flags)
}

// TestBroadcastsOfNode holds that what servers and emitters of Node.js broadcast is read as it is
// meant, and that the same broadcasts are written byte for byte as a server of Node.js does it.
func TestBroadcastsOfNode(t *testing.T) {
	const p0, p1 = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`
	want := map[string]string{
		"all":              `news [1,"two",{"three":[null,true,-5,1.5,70000,5000000000]}] [] to [] except [] flags 0`,
		"room":             `news [] [] to [red] except [] flags 0`,
		"rooms":            `news [] [] to [red blue] except [] flags 0`,
		"except":           `news ["x"] [] to [] except [red] flags 0`,
		"room-except":      `news ["x"] [] to [red] except [blue] flags 0`,
		"volatile":         `news [] [] to [] except [] flags ` + fmt.Sprint(packet.Volatile),
		"compress":         `news [] [] to [] except [] flags ` + fmt.Sprint(packet.NoCompress),
		"binary":           `news [` + p0 + `,{"deep":` + p1 + `}] [010203 04] to [] except [] flags 0`,
		"undefined":        `news [null,null,"1970-01-01T00:00:00.000Z",null,null,true,"é\u0000😀"] [] to [] except [] flags 0`,
		"em-all":           `news ["e",` + p0 + `] [01] to [] except [] flags 0`,
		"em-room":          `news ["e"] [] to [red] except [] flags 0`,
		"em-rooms-except":  `news ["e"] [] to [red blue] except [green] flags ` + fmt.Sprint(packet.Volatile),
		"sender-room":      `news ["from"] [] to [red] except [8jDPdH0X-UWxMH0qAAAA] flags 0`,
		"emit-remote-one":  `dm [1] [] to [acxzrHJiFVpxwvYtAAAB] except [] flags 0`,
		"nsp":              ``,
		"em-nsp":           ``,
		"sender":           `news ["from"] [] to [] except [8jDPdH0X-UWxMH0qAAAA] flags 0`,
		"not there at all": ``,
	}
	// What JavaScript knows and JSON does not, flags that mean nothing here, and the order in which an
	// emitter writes: these are written otherwise.
	otherwise := map[string]bool{"undefined": true, "emit-remote-one": true, "em-all": true, "em-room": true, "em-rooms-except": true}
	seen := 0
	for _, p := range transcript(t) {
		if !strings.HasPrefix(p.Channel, "socket.io#") {
			continue
		}
		b, err := readBroadcast(string(p.Message), "somebody else", "/")
		if err != nil {
			t.Errorf("%s: %v", p.Step, err)
			continue
		}
		got := ""
		if b != nil {
			got = texts(b)
		}
		if got != want[p.Step] {
			t.Errorf("%s: got  %s\nwant %s", p.Step, got, want[p.Step])
		}
		seen++
		if b == nil || otherwise[p.Step] {
			continue
		}
		d := decoder{data: string(p.Message), at: 1}
		uid, _ := d.name()
		if again, err := encodeBroadcast(uid, &b.packet, b.target, 1<<20); err != nil || !bytes.Equal(again, p.Message) {
			t.Errorf("%s: %v, written\n%x\nand by Node.js\n%x", p.Step, err, again, p.Message)
		}
		if own, err := readBroadcast(string(p.Message), uid, "/"); own != nil || err != nil {
			t.Errorf("%s: what is the reader's own was read: %v, %v", p.Step, own, err)
		}
	}
	if seen != len(want)-1 {
		t.Errorf("%d broadcasts were seen, want %d", seen, len(want)-1)
	}
}

// TestRequestsOfNode holds that requests are written byte for byte as a server of Node.js does it.
func TestRequestsOfNode(t *testing.T) {
	to := func(rooms ...string) *whomJSON { return whom(streaming.Target{Rooms: rooms}) }
	yes, no := true, false
	want := map[string]requestJSON{
		"fetch":          {RequestID: "wZvu5Y", Type: requestFetch, Opts: to()},
		"fetch-room":     {RequestID: "hdwG7Q", Type: requestFetch, Opts: whom(streaming.Target{Rooms: []string{"red"}, Except: []string{"blue"}})},
		"sse":            {Type: requestServerSide, Data: json.RawMessage(`["hello","there",1]`)},
		"join":           {Type: requestJoin, Opts: to(), Rooms: []string{"green"}},
		"join2":          {Type: requestJoin, Opts: whom(streaming.Target{Rooms: []string{"red"}, Except: []string{"x"}}), Rooms: []string{"green", "blue"}},
		"leave":          {Type: requestLeave, Opts: to("red"), Rooms: []string{"green"}},
		"disconnect":     {Type: requestDisconnect, Opts: to("nobody"), Close: &yes},
		"disconnect-all": {Type: requestDisconnect, Opts: to(), Close: &no},
	}
	for _, p := range transcript(t) {
		request, ok := want[p.Step]
		if !ok || !strings.HasPrefix(p.Channel, "socket.io-request#") {
			continue
		}
		delete(want, p.Step)
		request.UID = "FS4yAW"
		if got, err := compact(request); err != nil || !bytes.Equal(got, p.Message) {
			t.Errorf("%s: %v, written\n%s\nand by Node.js\n%s", p.Step, err, got, p.Message)
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the transcript: %v", want)
	}
}

// TestCallsOfNode holds that a call to clients is written as a server of Node.js does it but for what
// only servers of this kind understand, and that answers are.
func TestCallsOfNode(t *testing.T) {
	seen := 0
	for _, p := range transcript(t) {
		if !strings.HasPrefix(p.Step, "ack") {
			continue
		}
		e, err := readEnvelope(string(p.Message))
		if err != nil {
			t.Errorf("%s: %v", p.Step, err)
			continue
		}
		seen++
		var got []byte
		switch *e.Type {
		case requestBroadcast:
			var sent struct{ Data json.RawMessage }
			_ = json.Unmarshal(e.Packet, &sent)
			name, args, err := e.event(sent.Data)
			if err != nil {
				t.Fatal(err)
			}
			event := &packet.Packet{Type: packet.TypeEvent, Namespace: "/", Event: name, Args: args}
			if got, err = encodeCall(e.UID, e.RequestID, event, e.Opts.target(), int64(e.Opts.Flags.Timeout), 1<<20); err != nil {
				t.Fatal(err)
			}
			tail := append(appendStr(nil, "extended"), trueForm)
			if !bytes.HasSuffix(got, tail) || got[0] != fixMap|6 {
				t.Errorf("%s: %x does not end with %x", p.Step, got, tail)
			}
			got = append([]byte{fixMap | 5}, got[1:len(got)-len(tail)]...)
		case responseAskedCount:
			continue
		case responseAck:
			args, err := e.argsOf(json.RawMessage("[" + string(e.Packet) + "]"))
			if err != nil {
				t.Fatal(err)
			}
			if got, err = encodeAck(e.RequestID, streaming.Reply{Args: args}, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, p.Message) {
			t.Errorf("%s: written\n%x\nand by Node.js\n%x", p.Step, got, p.Message)
		}
	}
	if seen < 10 {
		t.Errorf("%d messages of calls", seen)
	}
}
