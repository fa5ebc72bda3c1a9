package streaming_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// chat is an event set: clients join rooms, and say things there.
type chat struct{}

// nameKey is under which name a client has joined.
var nameKey = streaming.NewKey[string]()

type joinRequest struct {
	Room string `json:"room"`
	Name string `json:"name"`
}

type joinReply struct {
	Members int `json:"members"`
}

// roomOf makes a room of a name that a client has chosen: the ID of another socket is a room as well,
// and must not be one that a client can name.
func roomOf(name string) string { return "chat:" + name }

// Register adds the handlers of the set to those of a namespace.
func (chat) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	err := streaming.On(h, "join", func(e *streaming.Event, r joinRequest) (joinReply, error) {
		if r.Name == "" {
			return joinReply{}, &streaming.EventError{Code: "no_name", Message: "a name is needed"}
		}
		nameKey.Set(e.Socket, r.Name)
		return joinReply{Members: n.Count(roomOf(r.Room)) + 1}, e.Socket.Join(roomOf(r.Room))
	})
	if err != nil {
		return err
	}
	return h.On("say", func(e *streaming.Event) {
		var room, text string
		if err := e.Decode(&room, &text); err != nil {
			e.Refuse(streaming.CodeInvalidPayload, "say needs a room and a text")
			return
		}
		_ = n.To(roomOf(room)).Emit("said", nameKey.Get(e.Socket), text)
	})
}

// A server of one namespace, and what a client and the server say to each other
// in the packets of the protocol. The client's own code would be
// socket.emitWithAck("join", { room: "go", name: "ann" }), and so on.
func Example() {
	server := streaming.New(streaming.Options{}, nil)
	if _, err := server.Use("/", chat{}); err != nil {
		fmt.Println(err)
	}
	web := httptest.NewServer(server.Handler())
	defer web.Close()
	defer func() { _ = server.Shutdown(context.Background(), engineio.Farewell{}) }()

	client, err := rawclient.New(web.URL + "/").Connect(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close() }()
	say(client, `40`)
	say(client, `421["join",{"room":"go"}]`, `422["join",{"room":"go","name":"ann"}]`, `42["say","go","hello"]`)
	// Output:
	// connected
	// 431[{"success":false,"error":"a name is needed","code":"no_name"}]
	// 42["error",{"message":"a name is needed","code":"no_name"}]
	// 432[{"members":1}]
	// 42["said","ann","hello"]
}

// say has a client send packets, and shows what comes until each is answered.
func say(client *rawclient.Conn, packets ...string) {
	answers := 1
	for _, packet := range packets {
		if err := client.WriteText(packet); err != nil {
			fmt.Println(err)
			return
		}
	}
	if len(packets) > 1 {
		answers = 4
	}
	for range answers {
		answer, err := client.ReadText()
		if err != nil {
			fmt.Println(err)
			return
		}
		if len(packets) == 1 {
			answer = "connected" // The rest is an ID, which is another one each time.
		}
		fmt.Println(answer)
	}
}
