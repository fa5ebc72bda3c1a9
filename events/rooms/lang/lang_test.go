package lang_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/events/eventscaddy"
	"github.com/caddy-socketio/socketio-stream/events/rooms/lang"
)

const program = `rooms {
	on connect emit hello {socket.id} 1 "a {socket.id}"
	on join <room> <user> <color?> <rest...> {
		check {user.name} string 1..64
		check {color} one_of red green
		join doc:{room}/{user.name} max 5
		full emit full
		first emit first {members}
		others to doc:{room}/{user.name} emit came {color} {rest}
		when {user.name} a b {
			volatile emit x ` + "`{\"a\": [\"{socket.id}\", \"{members}\"]}`" + `
			disconnect
		}
		ack {members.joined} {joined}
	}
	on leave <room> leave {room}
	on no refuse no "not now"
	on disconnecting doc:<rest> last to_everyone emit gone {rest}
	allow doc:{socket.id}
	max_members 100
}`

// parse reads a program as a Caddyfile has it.
func parse(text string) (*eventscaddy.Rooms, error) {
	tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
	if err != nil {
		return nil, err
	}
	set := new(eventscaddy.Rooms)
	return set, set.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens))
}

// FuzzProgram holds that no text makes the parser fail otherwise than by an error, and that what it takes
// is the same program as JSON.
func FuzzProgram(f *testing.F) {
	f.Add(program)
	f.Add("rooms {\n\ton x <a> {\n\t\twhen {a} b first others emit y {a.b.c}\n\t}\n}")
	f.Add("rooms {\n\ton disconnecting <a> to {a} emit y \"{\" }\n}")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := parse(text)
		if err != nil {
			return
		}
		encoded, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		var again eventscaddy.Rooms
		if err := json.Unmarshal(encoded, &again); err != nil {
			t.Fatal(err)
		}
		want, err := lang.Check(set.Program)
		if err != nil {
			t.Fatalf("%s was taken, and is not a second time: %v", text, err)
		}
		got, err := lang.Check(again.Program)
		if err != nil || strings.ToValidUTF8(text, "") == text && !reflect.DeepEqual(got, want) {
			t.Errorf("%s is another program as JSON: %s, %v", text, encoded, err)
		}
	})
}

// A program in JSON that makes no sense is refused with the event and the step.
func TestErrorsInJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                           "events rooms says nothing of any event",
		`{"on":[{"event":"x"}]}`:       "on x: on x does nothing",
		`{"on":[{"do":[{}]}]}`:         "on : an event has no name",
		`{"max_members":-1,"on":[{}]}`: "max_members must not be negative",
		`{"on":[{"event":"x","do":[{"do":"ack"},{"do":"ask"}]}]}`:                                                  "on x, step 2: unrecognized primitive 'ask'",
		`{"on":[{"event":"x","do":[{"do":"join","room":"{a}"}]}]}`:                                                 "on x, step 1: {a} names no argument of on x",
		`{"on":[{"event":"x","do":[{"do":"join","room":"a"},{"do":"first","steps":[{"do":"emit","event":""}]}]}]}`: "on x, step 2, step 1: an event has no name",
		`{"on":[{"event":"x","do":[{"do":"join","room":"a"},{"do":"first"}]}]}`:                                    "on x, step 2: first does nothing",
		`{"on":[{"event":"x","do":[{"do":"join","room":"a","steps":[{"do":"ack"}]}]}]}`:                            "on x, step 1: join has steps of its own",
		`{"on":[{"event":"x","do":[{"do":"join","room":"a","max":-1}]}]}`:                                          "on x, step 1: max must not be negative",
		`{"on":[{"event":"x","do":[{"do":"emit","event":"y","room":"a","everyone":true}]}]}`:                       "on x, step 1: emit has several targets",
		`{"on":[{"event":"x","do":[{"do":"emit","event":"y","all":true}]}]}`:                                       "on x, step 1: all is for what is sent to a room",
		`{"on":[{"event":"x","room":"<a>","do":[{"do":"ack"}]}]}`:                                                  "on x: on x has a room",
		`{"on":[{"event":"disconnecting","do":[{"do":"emit"}]}]}`:                                                  "on disconnecting: on disconnecting :",
		`{"on":[{"event":"x","args":["a"],"do":[{"do":"when","value":"{a}","steps":[{"do":"ack"}]}]}]}`:            "on x, step 1: when does not say what the value may be",
	} {
		var set eventscaddy.Rooms
		if err := json.Unmarshal([]byte(text), &set); err != nil {
			t.Fatal(err)
		}
		if err := set.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
