package rooms_test

import (
	"fmt"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

const placeholder1 = `{"_placeholder":true,"num":1}`

// The example of a drawing that several work on does word for word what its clients expect.
func TestDrawing(t *testing.T) {
	s := serve(t, example(t, "excalidraw"))
	a, b := s.Connect(), s.Connect()
	a.Expect(`2["init-room"]`)
	b.Expect(`2["init-room"]`)

	a.Send(`2["join-room","drawing"]`)
	a.Expect(`2["first-in-room"]`)
	a.Expect(fmt.Sprintf(`2["room-user-change",[%q]]`, a.ID))
	b.Send(`2["join-room","drawing"]`)
	a.Expect(fmt.Sprintf(`2["new-user",%q]`, b.ID))
	a.Expect(fmt.Sprintf(`2["room-user-change",[%q,%q]]`, a.ID, b.ID))
	b.Expect(fmt.Sprintf(`2["room-user-change",[%q,%q]]`, a.ID, b.ID))

	// The name of the room is cut off, and binary data is passed on.
	for _, event := range []string{"server-broadcast", "server-volatile-broadcast"} {
		a.Send(`52-["`+event+`","drawing",`+eventstest.Placeholder0+`,`+placeholder1+`]`, "secret", "iv")
		b.Expect(`52-["client-broadcast",`+eventstest.Placeholder0+`,`+placeholder1+`]`, "secret", "iv")
	}

	// b follows a, who sends to its own room without being in it.
	follow := func(action string) string {
		return fmt.Sprintf(`2["user-follow",{"userToFollow":{"socketId":%q,"username":"A"},"action":%q}]`, a.ID, action)
	}
	b.Send(follow("FOLLOW"))
	a.Expect(fmt.Sprintf(`2["user-follow-room-change",[%q]]`, b.ID))
	a.Send(`52-["server-volatile-broadcast","follow@`+a.ID+`",`+eventstest.Placeholder0+`,`+placeholder1+`]`, "view", "iv")
	b.Expect(`52-["client-broadcast",`+eventstest.Placeholder0+`,`+placeholder1+`]`, "view", "iv")
	b.Send(follow("UNFOLLOW"))
	a.Expect(`2["user-follow-room-change",[]]`)
	b.Send(follow("FOLLOW"))
	a.Expect(fmt.Sprintf(`2["user-follow-room-change",[%q]]`, b.ID))

	// What is of another is not for b.
	b.Send(`2["server-broadcast","follow@` + a.ID + `",1,2]`)
	b.Expect(eventstest.Refusal("invalid_argument", "argument 1 (room) names a room that is not for this event"))
	b.Send(`2["join-room","follow@` + a.ID + `"]`)
	b.Expect(eventstest.Refusal("invalid_argument", "argument 1 (room) names a room that is not for this event"))
	b.Send(follow("STALK"))
	b.Expect(eventstest.Refusal("invalid_argument", "argument 1 (p.action) must be FOLLOW or UNFOLLOW"))

	// The room of a socket's ID is not the socket.
	c := s.Connect()
	c.Expect(`2["init-room"]`)
	c.Send(fmt.Sprintf(`2["join-room",%q]`, a.ID))
	c.Expect(`2["first-in-room"]`)
	c.Expect(fmt.Sprintf(`2["room-user-change",[%q]]`, c.ID))
	b.Send(follow("UNFOLLOW"))
	a.Expect(`2["user-follow-room-change",[]]`)
	b.Send(follow("FOLLOW"))
	a.Expect(fmt.Sprintf(`2["user-follow-room-change",[%q]]`, b.ID))
	c.ExpectNothing()

	// What is left of b is told room by room, in the order in which it has joined them.
	b.Close()
	a.Expect(fmt.Sprintf(`2["room-user-change",[%q]]`, a.ID))
	a.Expect(`2["broadcast-unfollow"]`)
	a.ExpectNothing()
}
