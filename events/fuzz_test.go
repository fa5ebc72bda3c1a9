package events

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzEvent has a client send arbitrary messages to the streaming service: up
// to a separator each, binary when it begins with a "b". The client is then
// connected or not; nothing panics, and others are not disturbed.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		`2["stream:start"]`,
		`2["stream:start",{"streamId":"one"}]` + "\x1e" + `27["stream:data",{"streamId":"one"}]` + "\x1e" + `2["stream:stop",{"streamId":"one"}]`,
		`51-["stream:start",{"streamId":"one","header":` + placeholder0 + "}]\x1ebheader\x1e" + `20["stream:join",{"streamId":"one"}]`,
		`51-["stream:data",{"streamId":"two","chunk":` + placeholder0 + "}]\x1eb\xff",
		`2["stream:data",{"streamId":"witness"}]` + "\x1e" + `2["stream:data",{"streamId":"mine","STREAMID":"witness"}]`,
		`2["stream:data",{"streamId":7}]` + "\x1e" + `2["stream:stop",{"stre\u0061mId":"witness"}]` + "\x1e" + `2["stream:leave",{"streamId":""}]`,
		`2["message",[[[[]]]]]` + "\x1e" + `2["disconnect"]` + "\x1e1\x1e0",
		`2{}`, "b", "0\x1e0", `51-["message",` + placeholder0 + `]`, `3999[]`, "\x1e\x1e", `2[null]`,
	} {
		f.Add([]byte(seed))
	}
	s := newService(f, &Streaming{Audience: AudienceAll, Replay: ReplayFirst, MaxStreams: 5})
	witness := s.connect()
	witness.start("witness")
	f.Fuzz(func(t *testing.T, messages []byte) {
		c, err := s.tryConnect()
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		for message := range bytes.SplitSeq(messages, []byte{0x1e}) {
			if data, ok := bytes.CutPrefix(message, []byte("b")); ok {
				_ = c.conn.WriteBinary(data)
			} else {
				_ = c.conn.WriteText("4" + string(message))
			}
		}
		if err := c.answers(); err != nil && !errors.Is(err, errEnded) {
			t.Fatalf("the client: %v", err)
		}
		if err := witness.answers(); err != nil {
			t.Fatalf("another client: %v", err)
		}
		if s.errors.Load() > 0 {
			t.Fatal("something has panicked")
		}
		if stream := s.streamsOf().get("witness"); stream == nil || stream.owner.ID() != witness.id {
			t.Fatal("a stream was taken from its owner")
		}
	})
}

// answers makes sure that the connection lives, past all that has come.
func (c *client) answers() error {
	if err := c.trySend("0/nowhere,"); err != nil {
		return errEnded
	}
	for {
		r, err := c.read()
		if err != nil || r.text == `4/nowhere,{"message":"Invalid namespace"}` {
			return err
		}
	}
}
