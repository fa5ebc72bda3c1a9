package redis

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// TestPythonChannel holds that what python-socketio publishes on its channel is done in each mode, and
// that what it pickles is refused.
func TestPythonChannel(t *testing.T) { inEachMode(t, pythonChannel) }

func pythonChannel(t *testing.T, in mode) {
	r := startRedis(t)
	s := newServer(t, in.at(r, func(o *Options) { o.Python = "python" }))
	one, two := s.connect(), s.connect()
	answers := subscribeRaw(t, r, "python")
	publish := func(message string) {
		t.Helper()
		r.do(fmt.Sprintf("PUBLISH python %q", message))
		if got := answers(); got != message {
			t.Fatalf("published %s", got)
		}
	}
	emit := func(event, more string) {
		t.Helper()
		publish(`{"method":"emit","event":"` + event + `",` + more + `"callback":null,"host_id":"h"}`)
	}
	emit("all", `"data":[1,"two"],"binary":false,"namespace":"/","room":null,"skip_sid":null,`)
	one.expect(`2["all",1,"two"]`)
	two.expect(`2["all",1,"two"]`)
	emit("bytes", `"data":[[{"a":{"_placeholder":true,"num":0}}],"AQI="],"binary":true,"namespace":"/","room":"`+one.id+`","skip_sid":null,`)
	one.expect(`51-["bytes",{"a":{"_placeholder":true,"num":0}}]`, "binary 0102")

	publish(`{"method":"enter_room","sid":"` + one.id + `","room":"red","namespace":"/","host_id":"h"}`)
	emit("red", `"data":[],"room":["red","blue"],`)
	emit("others", `"data":[],"room":null,"skip_sid":["`+one.id+`"],`)
	one.expect(`2["red"]`)
	two.expect(`2["others"]`)
	publish(`{"method":"leave_room","sid":"` + two.id + `","room":"red","namespace":"/","host_id":"h"}`)
	publish(`{"method":"close_room","room":"red","namespace":"/","host_id":"h"}`)
	eventually(t, "the room to be closed", func() bool { return s.Of("/").Count("red") == 0 })

	publish(`{"method":"emit","event":"question","data":[7],"binary":false,"namespace":"/","room":"` + two.id +
		`","skip_sid":null,"callback":["` + two.id + `","/",3],"host_id":"h"}`)
	var id int
	if _, err := fmt.Sscanf(two.next(), `2%d["question",7]`, &id); err != nil {
		t.Fatal(err)
	}
	_ = two.conn.WriteText(fmt.Sprintf(`43%d["yes"]`, id))
	want := `{"method":"callback","host_id":"h","sid":"` + two.id + `","namespace":"/","id":3,"args":["yes"]}`
	if got := answers(); got != want {
		t.Errorf("answered %s, want %s", got, want)
	}

	publish(`{"method":"emit","event":"elsewhere","data":[],"namespace":"/not/here"}`)
	r.do(`PUBLISH python "\x80\x04\x95."`)
	_ = answers()
	r.do(`PUBLISH python "{\"method\":\"fly\"}"`)
	_ = answers()
	eventually(t, "the lines", func() bool {
		return len(s.logs.with("it is pickled, as python-socketio before 5.14 does")) == 1 && len(s.logs.with("its method is unknown")) == 1
	})
	publish(`{"method":"disconnect","sid":"` + one.id + `","namespace":"/","host_id":"h"}`)
	one.expect("1")
	emit("alive", `"data":[],`)
	two.expect(`2["alive"]`)
}

// TestUnreadablePythonMessages holds that the error says what is wrong.
func TestUnreadablePythonMessages(t *testing.T) {
	a := testAdapter()
	for message, want := range map[string]string{
		"":                  "no message of python-socketio",
		"\x80\x04\x95\x00.": "pickled",
		"(dp0\nS'method'":   "pickled",
		"[]":                "no message of python-socketio",
		`{"method":"emit"}`: "",
		`{"method":"emit","event":"connect","data":[]}`:                                               "reserved",
		`{"method":"emit","event":"e","data":[["x"],"!"],"binary":true}`:                              "not base64",
		`{"method":"emit","event":"e","data":[["x"],7],"binary":true}`:                                "no text",
		`{"method":"emit","event":"e","data":[],"binary":true}`:                                       "binary",
		`{"method":"enter_room","sid":"x"}`:                                                           "no room",
		`{"method":"disconnect"}`:                                                                     "no sid",
		`{"method":"close_room"}`:                                                                     "no room",
		`{"method":"emit","event":"` + strings.Repeat("x", 2000) + `"}`:                               "larger than max_message",
		`{"method":"emit","event":"e","data":[],"room":{"a":1}}`:                                      "no message of python-socketio",
		`{"method":"emit","event":"e","data":[[{"_placeholder":true,"num":4}],"AQ=="],"binary":true}`: "stands for binary data",
	} {
		m, err := readPython(message, 1000)
		if err == nil {
			err = a.python(m)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %s", message, err, want)
		}
	}
}

// FuzzPythonMessages holds that nothing on the channel makes a server panic, or hand something to clients
// that is no event.
func FuzzPythonMessages(f *testing.F) {
	f.Add([]byte(`{"method":"emit","event":"e","data":[[{"_placeholder":true,"num":0}],"AQI="],"binary":true,"room":["a"],"skip_sid":"b","callback":["a","/",1],"host_id":"h"}`))
	f.Add([]byte(`{"method":"enter_room","sid":"a","room":1}`))
	f.Add([]byte("\x80\x04."))
	a := testAdapter()
	f.Fuzz(func(t *testing.T, message []byte) {
		m, err := readPython(string(message), 1<<20)
		if err != nil {
			return
		}
		if args, err := m.args(1 << 20); err == nil {
			if _, err := packet.ParseArgs(args.AppendJSON(nil)); err != nil && !errors.Is(err, errPlaceholder) && len(args.Attachments()) == 0 {
				t.Fatalf("arguments %s: %v", args.AppendJSON(nil), err)
			}
		}
		_ = a.python(m)
	})
}
