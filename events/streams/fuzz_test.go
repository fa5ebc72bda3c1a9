package streams

import (
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
	s := newServer(f, &Set{Audience: AudienceAll, Replay: ReplayFirst, MaxStreams: 5})
	const probe = `["stream:join",{}]`
	witness := s.NewFuzzClient(f, probe)
	witness.Says(f, `42["stream:start",{"streamId":"witness"}]`)
	owner := s.table().get("witness").owner.Load()
	f.Fuzz(func(t *testing.T, messages []byte) {
		s.Attack(t, probe, messages)
		witness.Says(t)
		if s.Panicked() {
			t.Fatal("something has panicked")
		}
		if stream := s.table().get("witness"); stream == nil || stream.owner.Load() != owner {
			t.Fatal("a stream was taken from its owner")
		}
	})
}
