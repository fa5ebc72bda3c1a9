package engineio

// askedBehind is how many bytes may wait for a client when it is asked, on a
// WebSocket, without that being an excuse for no answer: on a line of 64 kbit/s they
// take a second. What has been written to the connection also counts as waiting until
// the writer has noted it.
const askedBehind = 8 << 10

// Ask sends a ping out of turn. answered reports whether a ping has been answered since; it reports
// false once the session is over. excused reports whether that nothing has come by now says nothing: the
// ping waited on a WebSocket behind other messages, or the answer waits behind a message that is being
// handled.
func (s *Session) Ask() (answered, excused func() bool) {
	asked := s.pongAt.Load()
	behind := s.QueuedBytes() > askedBehind && s.Transport() == WebSocket
	s.Send(pingPacket)
	return func() bool { return s.isOpen() && s.pongAt.Load() != asked },
		func() bool { return s.isOpen() && (behind || s.stalled.Load()) }
}
