package sessions

import (
	"strings"
	"testing"
)

// FuzzSessionEvent has a client send arbitrary messages to the session
// service: up to a separator each, binary when it begins with a "b". Nothing
// panics, and what it does never reaches a session that it cannot join.
func FuzzSessionEvent(f *testing.F) {
	for _, seed := range []string{
		`20["join",{"sessionId":"mine","clientName":"x","fingerprint":"f"}]` + "\x1e" + `21["content",{"sessionId":"mine","content":{},"token":"t"}]` + "\x1e" + `2["leave",{"sessionId":"mine"}]`,
		`51-["join",{"sessionId":"witness","clientName":"x","fingerprint":` + placeholder0 + "}]\x1ebsecret",
		`2["join",{"sessionId":"witness","clientName":"x","fingerprint":{"a":[1]}}]` + "\x1e" + `2["content",{"sessionId":"witness","content":1}]`,
		`52-1["batch",[{"event":"join","data":{"sessionId":"a","clientName":"x","fingerprint":` + placeholder0 + `}},{"event":"batch","data":[]},{"event":"content","data":{"sessionId":"a","content":{"_placeholder":true,"num":1}}}]]` + "\x1eb1\x1eb2",
		`52-["chunk",{"sessionId":"a","chunk":{"contentId":"c","chunkIndex":0,"totalChunks":2,"encryptedData":` + placeholder0 + `,"iv":{"_placeholder":true,"num":1}}}]` + "\x1ebx\x1ebiv",
		`2["chunk",{"sessionId":"a","chunk":{"contentId":"c","chunkIndex":1e9,"totalChunks":-2,"encryptedData":[1,256],"iv":""}}]`,
		`2["batch",[null,1,"x",[],{},{"event":7}]]` + "\x1e" + `2["join"]` + "\x1e" + `2["shout",{}]` + "\x1e1\x1e0",
	} {
		f.Add([]byte(seed))
	}
	s := newServer(f, &Set{Fingerprint: FingerprintFirst, History: 3, Batch: 4, MaxSessions: 5})
	const probe = `["leave",{}]`
	witness := s.NewFuzzClient(f, probe)
	witness.Says(f, `42["join",{"sessionId":"witness","clientName":"witness","fingerprint":"what nobody guesses"}]`)
	f.Fuzz(func(t *testing.T, messages []byte) {
		s.Attack(t, probe, messages)
		witness.Says(t)
		for _, packet := range witness.Got {
			if packet != "2" && !strings.HasPrefix(packet, "43") && !strings.HasPrefix(packet, `42["error",`) {
				t.Fatalf("the witness has got %q", packet)
			}
		}
		if s.Panicked() {
			t.Fatal("something has panicked")
		}
		if members := s.table().membersOf("witness"); len(members) != 1 {
			t.Fatalf("%d members", len(members))
		}
	})
}
