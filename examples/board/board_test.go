package board

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/documents"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// TestManualShowsTheBoard holds that what the manual shows is what is compiled here.
func TestManualShowsTheBoard(t *testing.T) {
	source, err := os.ReadFile("board.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(source), "\n")
	if !strings.Contains(documents.Section(t, "What a set can do"), "```go\n"+shown+"```\n") {
		t.Error("docs/extending.md shows another board")
	}
}

// serve returns the namespace of a server with the event set, and what connects a client and tells
// the ID of its socket.
func serve(t *testing.T) (n *streaming.Namespace, connect func() (*rawclient.Conn, string)) {
	t.Helper()
	server := streaming.New(streaming.Options{}, nil)
	n, err := server.Use("/", new(Board))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	t.Cleanup(web.Close)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	t.Cleanup(cancel)
	t.Cleanup(func() {
		if err := server.Shutdown(ctx, engineio.Farewell{}); err != nil {
			t.Error(err)
		}
	})
	return n, func() (*rawclient.Conn, string) {
		t.Helper()
		client, err := rawclient.New(web.URL + "/").Connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		say(t, client, "40")
		answer, err := client.ReadText()
		var socket struct{ SID string }
		if err == nil {
			err = json.Unmarshal([]byte(strings.TrimPrefix(answer, "40")), &socket)
		}
		if err != nil {
			t.Fatal(err)
		}
		return client, socket.SID
	}
}

func say(t *testing.T, client *rawclient.Conn, packet string) {
	t.Helper()
	if err := client.WriteText(packet); err != nil {
		t.Fatal(err)
	}
}

func hears(t *testing.T, client *rawclient.Conn, want string) {
	t.Helper()
	if got, err := client.ReadText(); err != nil || got != want {
		t.Fatalf("got %s, %v, want %s", got, err, want)
	}
}

// TestBoard holds that the event set that the manual shows does what it says.
func TestBoard(t *testing.T) {
	_, connect := serve(t)
	ann, _ := connect()
	bob, _ := connect()
	const binary = `{"_placeholder":true,"num":0}`
	say(t, ann, `421["join",{"board":"b"}]`)
	hears(t, ann, `431[{"success":false,"error":"a board and a name are needed","code":"no_name"}]`)
	hears(t, ann, `42["error",{"message":"a board and a name are needed","code":"no_name"}]`)
	say(t, ann, `421["join",{"name":"ann"}]`)
	hears(t, ann, `431[{"success":false,"error":"a board and a name are needed","code":"no_name"}]`)
	hears(t, ann, `42["error",{"message":"a board and a name are needed","code":"no_name"}]`)
	say(t, ann, `422["join",{"board":"b","name":"ann"}]`)
	hears(t, ann, `432[{"members":1,"last":null}]`)
	say(t, bob, `421["join",{"board":"b","name":"bob"}]`)
	hears(t, bob, `431[{"members":2,"last":null}]`)
	hears(t, ann, `42["joined","bob"]`)
	say(t, bob, `42["pointer",1,2]`)
	hears(t, ann, `42["pointer",1,2]`)
	say(t, bob, `451-2["stroke",{"colour":"red","points":`+binary+`}]`)
	if err := bob.WriteBinary([]byte("12")); err != nil {
		t.Fatal(err)
	}
	hears(t, bob, `432[]`)
	hears(t, ann, `451-["stroke","bob",{"colour":"red","points":`+binary+`}]`)
	if data, err := ann.ReadBinary(); err != nil || string(data) != "12" {
		t.Errorf("points %q, %v", data, err)
	}
	say(t, bob, `423["pointer","here"]`)
	hears(t, bob, `433[{"success":false,"error":"argument 0 does not fit","code":"invalid_payload"}]`)
	if _, err := bob.ReadText(); err != nil { // The same as an "error" event.
		t.Fatal(err)
	}
	say(t, ann, `424["vote","enough?"]`)
	asked, err := bob.ReadText()
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSuffix(strings.TrimPrefix(asked, "42"), `["vote","enough?"]`)
	say(t, bob, "43"+id+`[true]`)
	hears(t, ann, `434[{"yes":1,"no":0,"silent":0}]`)
	say(t, bob, `425["join",{"board":"c","name":"bob"}]`)
	hears(t, bob, `435[{"members":1,"last":null}]`)
	hears(t, ann, `42["left","bob"]`)
	say(t, ann, `426["join",{"board":"c","name":"ann"}]`)
	hears(t, ann, `436[{"members":2,"last":null}]`)
	hears(t, bob, `42["joined","ann"]`)
	say(t, ann, "41")
	hears(t, bob, `42["left","ann"]`)
}

// TestClientsCannotListenInOnOthers holds that a client that joins a board which is named like the
// socket of another does not get what is sent to that one.
func TestClientsCannotListenInOnOthers(t *testing.T) {
	n, connect := serve(t)
	ann, id := connect()
	eve, _ := connect()
	say(t, eve, `421["join",{"board":"`+id+`","name":"eve"}]`)
	hears(t, eve, `431[{"members":1,"last":null}]`)
	if err := n.To(id).Emit("secret"); err != nil {
		t.Fatal(err)
	}
	if err := n.Emit("news"); err != nil {
		t.Fatal(err)
	}
	hears(t, ann, `42["secret"]`)
	hears(t, eve, `42["news"]`)
}

// TestBoardOptions holds that a block is read, and refused where it says what it should not.
func TestBoardOptions(t *testing.T) {
	for _, test := range []struct {
		text string
		want int
		ok   bool
	}{
		{"board", 0, true},
		{"board {\n\tremember 5\n}", 5, true},
		{"board more", 0, false},
		{"board {\n\tforget 5\n}", 0, false},
		{"board {\n\tremember\n}", 0, false},
		{"board {\n\tremember 0\n}", 0, false},
		{"board {\n\tremember 5 6\n}", 0, false},
		{"board {\n\tremember 5\n\tremember 5\n}", 0, false},
	} {
		var b Board
		err := b.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.text))
		if (err == nil) != test.ok || test.ok && b.Remember != test.want {
			t.Errorf("%q: %d, %v", test.text, b.Remember, err)
		}
	}
}
