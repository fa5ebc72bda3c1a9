package engineio

// Ask sends a ping out of turn. answered reports whether a ping has been answered since; it reports
// false once the session is over. excused reports whether that nothing has come by now says nothing: the
// ping waited on a WebSocket behind other messages, or the answer waits behind a message that is being
// handled.
func (s *Session) Ask() (answered, excused func() bool) {
	asked := s.pongAt.Load()
	waiting, _ := s.Backlog()
	behind := waiting > 0 && s.Transport() == WebSocket
	s.Send(pingPacket)
	return func() bool { return s.isOpen() && s.pongAt.Load() != asked },
		func() bool { return s.isOpen() && (behind || s.stalled.Load()) }
}
