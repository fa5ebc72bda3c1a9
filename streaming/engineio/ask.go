package engineio

// Ask sends a ping out of turn. answered reports whether the client is there, as far as one can tell
// by now: it has answered a ping since, or the ping waits on a WebSocket behind other messages, or the
// answer behind a message that is being handled. It reports false once the session is over.
func (s *Session) Ask() (answered func() bool) {
	asked := s.pongAt.Load()
	waiting, _ := s.Backlog()
	behind := waiting > 0 && s.Transport() == WebSocket
	s.Send(pingPacket)
	return func() bool { return s.isOpen() && (behind || s.stalled.Load() || s.pongAt.Load() != asked) }
}
