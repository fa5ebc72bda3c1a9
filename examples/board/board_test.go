package board

import (
	"context"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

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

// TestBoard holds that the event set that the manual shows does what it says.
func TestBoard(t *testing.T) {
	server := streaming.New(streaming.Options{}, nil)
	if _, err := server.Use("/", new(Board)); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	defer web.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	defer func() {
		if err := server.Shutdown(ctx, engineio.Farewell{}); err != nil {
			t.Error(err)
		}
	}()
	connect := func() *rawclient.Conn {
		client, err := rawclient.New(web.URL + "/").Connect(ctx)
		if err == nil {
			err = client.WriteText("40")
		}
		if err == nil {
			_, err = client.ReadText()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	ann, bob := connect(), connect()
	say := func(client *rawclient.Conn, packet string) {
		if err := client.WriteText(packet); err != nil {
			t.Fatal(err)
		}
	}
	hears := func(client *rawclient.Conn, want string) {
		t.Helper()
		if got, err := client.ReadText(); err != nil || got != want {
			t.Fatalf("got %s, %v, want %s", got, err, want)
		}
	}
	const binary = `{"_placeholder":true,"num":0}`
	say(ann, `421["join",{"board":"b"}]`)
	hears(ann, `431[{"success":false,"error":"a name is needed","code":"no_name"}]`)
	hears(ann, `42["error",{"message":"a name is needed","code":"no_name"}]`)
	say(ann, `422["join",{"board":"b","name":"ann"}]`)
	hears(ann, `432[{"members":1,"last":null}]`)
	say(bob, `421["join",{"board":"b","name":"bob"}]`)
	hears(bob, `431[{"members":2,"last":null}]`)
	hears(ann, `42["joined","bob"]`)
	say(bob, `42["pointer",1,2]`)
	hears(ann, `42["pointer",1,2]`)
	say(bob, `451-2["stroke",{"colour":"red","points":`+binary+`}]`)
	if err := bob.WriteBinary([]byte("12")); err != nil {
		t.Fatal(err)
	}
	hears(bob, `432[]`)
	hears(ann, `451-["stroke","bob",{"colour":"red","points":`+binary+`}]`)
	if data, err := ann.ReadBinary(); err != nil || string(data) != "12" {
		t.Errorf("points %q, %v", data, err)
	}
}
