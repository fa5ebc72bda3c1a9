package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// handlers makes an event set of a function.
type handlers func(n *streaming.Namespace, h *streaming.Handlers)

func (register handlers) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	register(n, h)
	return nil
}

// told is an event set that hands over what it is told.
func told(to chan<- string) streaming.EventSet {
	return handlers(func(n *streaming.Namespace, h *streaming.Handlers) {
		_ = h.OnTell("figures", func(args packet.Args) {
			to <- fmt.Sprintf("%s %s %d", n.Name(), args.AppendJSON(nil), len(args.Attachments()))
		})
	})
}

// TestClusterOfTwo holds that all that one server does with sockets reaches those of another, with one
// subscription for all namespaces.
func TestClusterOfTwo(t *testing.T) { inEachMode(t, clusterOfTwo) }

func clusterOfTwo(t *testing.T, in mode) {
	r := startRedis(t)
	heard := make(chan string, 10)
	one, two := newServer(t, in.at(r)), newServer(t, in.at(r), told(heard))
	here, there, alsoThere := one.connect(), two.connect(), two.connect()
	n := one.Of("/")
	alsoThere.socket.Admit("red")

	for _, step := range []struct {
		name string
		to   streaming.Broadcast
		want []*client
	}{
		{"everyone", n.Everyone(), []*client{here, there, alsoThere}},
		{"a room", n.To("red"), []*client{alsoThere}},
		{"one", n.To(there.id), []*client{there}},
		{"two rooms", n.To("red", there.id), []*client{there, alsoThere}},
		{"all but a room", n.Everyone().Except("red"), []*client{here, there}},
		{"all but the sender", here.socket.Broadcast(), []*client{there, alsoThere}},
	} {
		_ = step.to.Emit("news", step.name, []byte{1, 2})
		_ = n.Emit("end")
		for _, c := range []*client{here, there, alsoThere} {
			if slices.Contains(step.want, c) {
				c.expect(fmt.Sprintf(`51-["news",%q,{"_placeholder":true,"num":0}]`, step.name), "binary 0102")
			}
			c.expect(`2["end"]`)
		}
	}

	n.To("red").Join("blue")
	eventually(t, "the room to be joined", func() bool { return two.Of("/").Count("blue") == 1 })
	n.Everyone().Leave("red")
	eventually(t, "the room to be left", func() bool { return two.Of("/").Count("red") == 0 })

	states, err := n.Everyone().FetchSockets(t.Context())
	if err != nil || len(states) != 3 {
		t.Errorf("%d sockets, %v", len(states), err)
	}
	for _, state := range states {
		if state.Namespace != "/" || state.Handshake == nil || state.Handshake.RemoteAddr != "127.0.0.1" ||
			state.ID == alsoThere.id && strings.Join(state.Rooms, " ") != "blue" {
			t.Errorf("state %+v", state)
		}
	}

	for _, c := range []*client{here, there, alsoThere} {
		go func() {
			question := c.next()
			var id int
			if _, err := fmt.Sscanf(question, `2%d["question",7]`, &id); err != nil {
				t.Errorf("question %s", question)
			}
			if c != alsoThere {
				_ = c.conn.WriteText(fmt.Sprintf(`43%d["yes",%q]`, id, c.id))
				return
			}
			_ = c.conn.Close()
		}()
	}
	replies, err := n.Call(t.Context(), "question", mustArgs(t, 7))
	if err != nil || len(replies) != 3 {
		t.Fatalf("%d replies, %v", len(replies), err)
	}
	for _, reply := range replies {
		want := fmt.Sprintf(`["yes",%q]`, reply.SocketID)
		if got := string(reply.Args.AppendJSON(nil)); reply.SocketID == alsoThere.id && reply.Err != streaming.ErrDisconnected ||
			reply.SocketID != alsoThere.id && (got != want || reply.Err != nil) {
			t.Errorf("reply %s %s %v", reply.SocketID, got, reply.Err)
		}
	}

	n.Tell("figures", mustArgs(t, 1, "two"))
	n.Tell("figures", mustArgs(t, []byte{1}))
	for _, want := range []string{`/ [1,"two"] 0`, `/ [{"_placeholder":true,"num":0}] 1`} {
		if got := <-heard; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	}

	n.To(there.id).Disconnect(false)
	there.expect("1")
	here.socket.Broadcast().Disconnect(true)
	if one.node.Health() != nil || one.figure(figurePublished) == 0 || two.figure(figureReceived) == 0 || one.figure(figureLost)+two.figure(figureRefused) != 0 {
		t.Errorf("%v, published %d, received %d", one.node.Health(), one.figure(figurePublished), two.figure(figureReceived))
	}
	if clients := r.do("INFO clients"); clients == "" {
		t.Error("Redis does not answer")
	}
}

func mustArgs(t testing.TB, values ...any) packet.Args {
	t.Helper()
	args, err := packet.NewArgs(values...)
	if err != nil {
		t.Fatal(err)
	}
	return args
}

// TestNamespacesOfACluster holds that each has its own channels, also one whose name has a meaning in
// Redis' patterns, and that one that comes late is heard.
func TestNamespacesOfACluster(t *testing.T) { inEachMode(t, namespacesOfACluster) }

func namespacesOfACluster(t *testing.T, in mode) {
	r := startRedis(t)
	one, two := newServer(t, in.at(r)), newServer(t, in.at(r))
	heard := make(chan string, 10)
	for _, name := range []string{"/late", "/[x]*?"} {
		for _, s := range []*server{one, two} {
			if _, err := s.Use(name, told(heard)); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "two to have the namespace", func() bool {
			others, err := one.adapter(name).others(t.Context())
			return err == nil && others == 1
		})
		one.Of(name).Tell("figures", packet.Args{})
		if got := <-heard; got != name+" [] 0" {
			t.Errorf("told %s", got)
		}
	}
	two.Remove("/late")
	eventually(t, "the namespace to be gone", func() bool {
		others, err := one.adapter("/late").others(t.Context())
		return err == nil && others == 0
	})
	if states, err := one.Of("/late").Everyone().FetchSockets(t.Context()); err != nil || len(states) != 0 {
		t.Errorf("%d sockets, %v", len(states), err)
	}
}

// adapter is that of a namespace.
func (s *server) adapter(name string) *adapter {
	for _, a := range s.node.all() {
		if a.local.Namespace() == name {
			return a
		}
	}
	s.t.Fatalf("no adapter of %s", name)
	return nil
}

// rights lets everybody in; who shows a text may join rooms of that name alone.
type rights struct{}

func (rights) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(rights{})
}

func (rights) Authenticate(_ context.Context, c *streaming.Credentials) (*streaming.Identity, error) {
	return &streaming.Identity{ID: "ada", Rooms: streaming.LimitTo("a*")}, nil
}

// TestRightsHoldAcrossServers holds that who may not join a room gets nothing that is for those who
// may, whatever server it comes from.
func TestRightsHoldAcrossServers(t *testing.T) { inEachMode(t, rightsHoldAcrossServers) }

func rightsHoldAcrossServers(t *testing.T, in mode) {
	r := startRedis(t)
	one, two := newServer(t, in.at(r)), newServer(t, in.at(r), rights{})
	limited := two.connect()
	n := one.Of("/")
	_ = n.Everyone().MayJoin("b").Emit("secret")
	n.Everyone().MayJoin("b").Join("b")
	if states, err := n.Everyone().MayJoin("b").FetchSockets(t.Context()); err != nil || len(states) != 0 {
		t.Errorf("%+v, %v", states, err)
	}
	if replies, err := n.Everyone().MayJoin("b").Call(t.Context(), "secret", packet.Args{}); err != nil || len(replies) != 0 {
		t.Errorf("%+v, %v", replies, err)
	}
	n.Everyone().MayJoin("b").Disconnect(true)
	_ = n.Everyone().MayJoin("a1").Emit("open")
	limited.expect(`2["open"]`)
	if two.Of("/").Count("b") != 0 {
		t.Error("a room was joined")
	}
}

// TestLargeMessagesAreNotPublished holds that one that is larger than max_message is counted and
// logged, and that one from a server that allows more is refused.
func TestLargeMessagesAreNotPublished(t *testing.T) { inEachMode(t, largeMessagesAreNotPublished) }

func largeMessagesAreNotPublished(t *testing.T, in mode) {
	r := startRedis(t)
	small := in.at(r, func(o *Options) { o.MaxMessage = MinMessage })
	one, two := newServer(t, small), newServer(t, in.at(r))
	here, there := one.connect(), two.connect()
	text := strings.Repeat("x", 2000)
	_ = one.Of("/").Emit("large", text)
	_ = one.Of("/").Emit("small")
	here.expect(`2["large","`+text+`"]`, `2["small"]`)
	there.expect(`2["small"]`)
	if lost := one.figure(figureLost); lost != 1 || len(one.logs.with("cannot be published")) != 1 {
		t.Errorf("%d are lost, logged %q", lost, one.logs.list)
	}
	_ = two.Of("/").Emit("large", text)
	_ = two.Of("/").Emit("small")
	there.expect(`2["large","`+text+`"]`, `2["small"]`)
	here.expect(`2["small"]`)
	if refused := one.figure(figureRefused); refused != 1 || len(one.logs.with("larger than max_message")) != 2 {
		t.Errorf("%d are refused, logged %q", refused, one.logs.list)
	}
}

// TestForeignMessagesAreNamed holds that each message that is not understood has a line, and harms
// nobody.
func TestForeignMessagesAreNamed(t *testing.T) {
	r := startRedis(t)
	s := newServer(t, r.at())
	c := s.connect()
	for i, step := range []struct{ channel, message, line string }{
		{"socket.io#/#", `["x",{"type":2,"data":["e"]},{}]`, "not MessagePack as Socket.IO servers write it"},
		{"socket.io-request#/#", `{"type":99,"uid":"x"}`, "request of an unknown type: 99"},
		{"socket.io-request#/#", `{"uid":"x"}`, "request of an unknown type"},
		{"socket.io-request#/#", `{"uid":7}`, "cannot unmarshal"},
		{"socket.io-request#/#", `{"uid":"x","type":7,"requestId":"r","packet":{"type":3,"data":[]},"opts":{}}`, "it is no event"},
		{"socket.io-request#/#", `{"uid":"x","type":6,"data":[7]}`, "the name of its event is no text"},
		{"socket.io-node#" + s.node.uid + "#", `stranger`, "another server of the cluster has the name of this one"},
	} {
		r.do(fmt.Sprintf("PUBLISH %s %q", step.channel, step.message))
		eventually(t, step.line, func() bool { return len(s.logs.with(step.line)) > 0 && s.figure(figureRefused) == int64(min(i+1, 6)) })
	}
	_ = s.Of("/").Emit("alive")
	c.expect(`2["alive"]`)
}

// TestRequestsOfOlderServers holds that those that name one socket are done and answered by the server
// that has it, and that questions for IDs and rooms are answered.
func TestRequestsOfOlderServers(t *testing.T) {
	r := startRedis(t)
	s := newServer(t, r.at())
	c := s.connect()
	watch := subscribeRaw(t, r, "socket.io-response#/#")
	ask := func(request string) string {
		r.do(fmt.Sprintf("PUBLISH socket.io-request#/# %q", request))
		return watch()
	}
	for request, want := range map[string]string{
		`{"uid":"x","requestId":"1","type":2,"sid":"` + c.id + `","room":"old"}`: `{"requestId":"1"}`,
	} {
		if got := ask(request); got != want || s.Of("/").Count("old") != 1 {
			t.Errorf("%s is answered %s", request, got)
		}
	}
	if got, want := ask(`{"uid":"x","requestId":"2","type":0,"rooms":["old"]}`), `{"requestId":"2","sockets":["`+c.id+`"]}`; got != want {
		t.Errorf("answered %s", got)
	}
	if got, want := ask(`{"uid":"x","requestId":"3","type":1}`), `{"requestId":"3","rooms":["`+c.id+`","old"]}`; got != want {
		t.Errorf("answered %s", got)
	}
	if got, want := ask(`{"uid":"x","requestId":"4","type":6,"data":["nothing known"]}`), `{"type":6,"requestId":"4"}`; got != want {
		t.Errorf("answered %s", got)
	}
	if got := ask(`{"uid":"x","requestId":"5","type":3,"sid":"` + c.id + `","room":"old"}`); got != `{"requestId":"5"}` || s.Of("/").Count("old") != 0 {
		t.Errorf("answered %s", got)
	}
	if got := ask(`{"uid":"x","requestId":"6","type":4,"sid":"` + c.id + `"}`); got != `{"requestId":"6"}` {
		t.Errorf("answered %s", got)
	}
	c.expect("1")
}

// subscribeRaw subscribes to a channel. What it returns waits for the next message.
func subscribeRaw(t testing.TB, r *redisServer, channel string) func() string {
	t.Helper()
	client, _, err := r.at().client()
	if err != nil {
		t.Fatal(err)
	}
	sub := client.Subscribe(context.Background(), channel)
	t.Cleanup(func() { _ = sub.Close(); _ = client.Close() })
	if _, err := sub.Receive(context.Background()); err != nil {
		t.Fatal(err)
	}
	return func() string {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		m, err := sub.ReceiveMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return m.Payload
	}
}

// TestOtherPrefixIsAnotherCluster holds that servers with another prefix are none of the cluster.
func TestOtherPrefixIsAnotherCluster(t *testing.T) {
	r := startRedis(t)
	one, two := newServer(t, r.at()), newServer(t, r.at(func(o *Options) { o.Prefix = "other" }))
	there := two.connect()
	_ = one.Of("/").Emit("news")
	if states, err := one.Of("/").Everyone().FetchSockets(t.Context()); err != nil || len(states) != 0 {
		t.Errorf("%d sockets, %v", len(states), err)
	}
	_ = two.Of("/").Emit("own")
	there.expect(`2["own"]`)
}

// TestNobodyAnswers holds that who asks hears how many have not answered in time.
func TestNobodyAnswers(t *testing.T) {
	r := startRedis(t)
	s := newServer(t, r.at(func(o *Options) { o.RequestTimeout = 100 * time.Millisecond }))
	subscribeRaw(t, r, "socket.io-request#/#")
	_, err := s.Of("/").Everyone().FetchSockets(t.Context())
	if err == nil || !strings.Contains(err.Error(), "1 of 1 servers have not answered within 100ms") {
		t.Errorf("got %v", err)
	}
	_, err = s.Of("/").Call(t.Context(), "question", packet.Args{})
	if err == nil || !strings.Contains(err.Error(), "1 of 1 servers have not said how many they ask") {
		t.Errorf("got %v", err)
	}
}
