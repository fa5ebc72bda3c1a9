package engineio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// shouter answers each message of its client in capitals.
type shouter struct{ session *engineio.Session }

func (s shouter) Message(data []byte, _ bool) (engineio.Work, error) {
	answer := strings.ToUpper(string(data))
	s.session.Send(wire.New([][]byte{[]byte(answer)}, nil, 0))
	return nil, nil
}

func (s shouter) Close(reason engineio.Reason) { fmt.Println("closed:", reason) }

// A server answers HTTP requests. Here a client on long-polling begins a session,
// sends a message, polls for the answer, and hears of the end of the server.
func Example() {
	server := engineio.New(engineio.Options{}, func(session *engineio.Session) engineio.Listener {
		return shouter{session}
	}, nil)
	front := httptest.NewServer(server.Handler())
	defer front.Close()

	url := front.URL + "/engine.io/?EIO=4&transport=polling"
	var open struct{ SID string }
	_ = json.Unmarshal([]byte(strings.TrimPrefix(get(url), "0")), &open)
	url += "&sid=" + open.SID

	answer, err := http.Post(url, "text/plain", strings.NewReader("4hello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = answer.Body.Close()
	fmt.Println(get(url))

	if err := server.Shutdown(context.Background(), engineio.Farewell{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 4HELLO
	// closed: server shutting down
}

func get(url string) string {
	answer, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(answer.Body)
	return string(body)
}
