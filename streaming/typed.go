package streaming

import "github.com/caddy-socketio/socketio-stream/streaming/packet"

// Decode decodes the arguments one by one into what values point to, see
// [packet.Args.Decode].
func (e *Event) Decode(values ...any) error { return e.Args.Decode(values...) }

// On sets the handler of an event that decodes what it gets and answers what it
// returns. An error means that the name is reserved, or that the event has a
// handler already.
//
// The handler is given the first argument of the event, decoded as
// [packet.Args.Decode] does it; with struct{} as Request the event needs none.
// An event that does not fit is refused with [CodeInvalidPayload], and the
// handler is not called.
//
// What the handler returns is the acknowledgement, for who asked for one: one
// argument, as [packet.NewArgs] makes it. With struct{} as Reply it has no
// arguments, and with [packet.Args] it has those. If the handler returns an
// error, the event is refused instead: an [*EventError] with its code and
// message, and any other error with [CodeInternalError], while the error itself
// is only logged. [ErrForbidden] and [ErrTooManyRooms] are such EventErrors, so
// that the error of [Socket.Join] can be returned as it is.
func On[Request, Reply any](h *Handlers, event string, handler func(e *Event, r Request) (Reply, error)) error {
	_, none := any(*new(Request)).(struct{})
	return h.On(event, func(e *Event) {
		var request Request
		if !none {
			if err := e.Decode(&request); err != nil {
				e.misfit(err)
				return
			}
		}
		reply, err := handler(e, request)
		if err == nil {
			err = e.Ack.replyOf(reply)
		}
		if err != nil {
			e.fail(err)
		}
	})
}

// replyOf answers with what a handler has returned.
func (a *Ack) replyOf(reply any) error {
	switch reply := reply.(type) {
	case struct{}:
		a.Reply(packet.Args{})
		return nil
	case packet.Args:
		a.Reply(reply)
		return nil
	}
	return a.ReplyWith(reply)
}
