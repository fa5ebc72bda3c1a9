package engineio

import "testing"

// TestModelSequences plays sequences that once did not go as the model has it.
func TestModelSequences(t *testing.T) {
	for name, p := range map[string]program{
		"bytes as base64 over WebSocket": {0, []step{
			{opOpen, 0, 0, 0, false},
			{opFrame, 0, 7, 0, false},
		}},
		"the answer of a poll counts while it is written": {2, []step{
			{opOpen, 0, 1, 0, false},
			{opSend, 0, 8, 0, false},
			{opPoll, 0, 7, 0, false},
		}},
		"closed while a POST comes slowly": {2, []step{
			{opOpen, 0, 1, 0, false},
			{opPostSlowly, 0, 0, 0, false},
			{opSend, 0, 11, 0, false},
			{opEnd, 0, 0, 0, false},
			{opPoll, 0, 0, 0, false},
		}},
		"closed while a poll is held and a POST comes slowly": {2, []step{
			{opOpen, 0, 1, 0, false},
			{opPostSlowly, 0, 0, 185, false},
			{opSend, 0, 11, 0, false},
			{opGate, 0, 0, 0, false},
			{opPoll, 0, 0, 0, false},
			{opShutdown, 0, 0, 0, false},
		}},
		"closed between the probe and the confirmation of an upgrade": {2, []step{
			{opOpen, 0, 1, 0, false},
			{opUpgrade, 0, 1, 0, false},
			{opProbe, 0, 0, 0, false},
			{opSend, 0, 8, 0, false},
			{opEnd, 0, 0, 0, false},
			{opConfirm, 0, 0, 0, false},
		}},
		"the answer to a probe is stuck": {3, []step{
			{opOpen, 0, 1, 0, false},
			{opUpgrade, 0, 1, 0, false},
			{opBlock, 0, 1, 0, false},
			{opProbe, 0, 0, 0, false},
			{opSleep, 0, 7, 0, false},
		}},
		"confirmed while the answer of a poll is stuck": {2, []step{
			{opOpen, 0, 1, 0, false},
			{opUpgrade, 0, 1, 0, false},
			{opProbe, 0, 0, 0, false},
			{opSend, 0, 8, 0, false},
			{opPoll, 0, 7, 0, false},
			{opConfirm, 0, 0, 0, false},
			{opFrame, 0, 0, 6, false},
			{opSend, 0, 8, 0, false},
			{opUnblock, 0, 0, 0, false},
		}},
		"the keys of an idle connection change": {2, []step{
			{opOpen, 0, 0, 0, false},
			{opSleep, 0, 9, 0, false},
			{opUpdateKeys, 0, 0, 0, false},
			{opSend, 0, 8, 0, false},
		}},
		"the keys of a probed connection change": {3, []step{
			{opOpen, 0, 1, 0, false},
			{opUpgrade, 0, 1, 0, false},
			{opProbe, 0, 0, 0, false},
			{opSleep, 0, 6, 0, false},
			{opUpdateKeys, 0, 0, 0, false},
			{opSend, 0, 8, 0, false},
			{opConfirm, 0, 0, 0, false},
		}},
		"a ping is held back for longer than the client has for its pong": {0, []step{
			{opOpen, 0, 1, 0, false},
			{opGate, 0, 0, 0, false},
			{opPoll, 0, 0, 0, false},
			{opSleep, 0, 9, 0, false},
			{opSleep, 0, 9, 0, false},
			{opGate, 0, 0, 0, false},
			{opPoll, 0, 0, 0, false},
			{opSleep, 0, 7, 0, false},
		}},
		"a ping that was held back is followed by another one": {0, []step{
			{opOpen, 0, 1, 0, false},
			{opGate, 0, 0, 0, false},
			{opSleep, 0, 8, 0, false},
			{opPoll, 0, 0, 0, false},
			{opSleep, 0, 8, 0, false},
			{opGate, 0, 0, 0, false},
			{opPoll, 0, 0, 0, false},
			{opSleep, 0, 7, 0, false},
		}},
		"a poll comes in the moment in which too much waits for the client": {0, []step{
			{opOpen, 0, 1, 0, false},
			{opPoll, 0, 0, 0, true},
			{opSend, 0, 3, 179, false},
		}},
		"no room for a session since the buffer of all was bounded": {2, []step{
			{opOpen, 0, 1, 0, false},
			{opSend, 0, 35, 103, false},
			{opReload, 0, 5, 0, false},
			{opOpen, 1, 1, 0, false},
		}},
		"closed by a handler that goes on": {2, []step{
			{opOpen, 0, 0, 0, false},
			{opFrame, 0, 0, 58, false},
			{opSleep, 0, 5, 0, false},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := p.fails(t, 3, ""); err != nil {
				t.Error(err)
			}
		})
	}
}
