package streaming

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// The codes with which a server refuses events by itself. [CodeForbidden] is
// another one.
const (
	// CodeUnknownEvent is an event that no event set of the namespace handles,
	// where a set refuses such, see [Handlers.RefuseUnknown].
	CodeUnknownEvent = "unknown_event"
	// CodeReservedEvent is an event whose name clients give a meaning of their
	// own.
	CodeReservedEvent = "reserved_event"
	// CodeInvalidPayload is an event that is none, or whose arguments do not fit
	// its handler, see [On].
	CodeInvalidPayload = "invalid_payload"
	// CodeRateLimited is a client that is disconnected because it has sent too much for
	// too long, see [Limits.Events], or that shows new credentials too often.
	CodeRateLimited = "rate_limited"
	// CodeTooManyRooms is a client that is in as many rooms as it may be, see
	// [ErrTooManyRooms].
	CodeTooManyRooms = "too_many_rooms"
	// CodeInternalError is a handler that has failed. The log says why.
	CodeInternalError = "internal_error"
)

// EventError refuses an event. A handler of [On] returns one to have it told to
// the client, as the [RefusalPolicy] of its event set has it.
type EventError struct {
	// Code is for the client's program.
	Code string
	// Message is for people.
	Message string
	// Quiet is true when nobody is to hear of it but who waits for an acknowledgement. A handler
	// sets it for a refusal of its own. The server is quiet about an event that is unknown, and in
	// a row of refusals to find out who a client is about all but the first.
	Quiet bool

	// why is for the log alone, in place of Message, where the event is refused because of who its
	// sender is.
	why string
}

func (e *EventError) Error() string { return e.Code + ": " + e.Message }

// RefusalPolicy is how clients hear that an event of theirs was not accepted.
// An event set has its own by [Handlers.RefuseWith]; [ErrorEvents] is that of
// all other sets.
//
// It is called at most once for each event, for what a handler refuses as well
// as for what the server refuses by itself. The event may have neither a name
// nor arguments, when it is none, or when a handler has panicked that had
// nothing to do with an event. A policy must not wait: it may run on the
// goroutine that reads from the client.
type RefusalPolicy func(e *Event, refusal *EventError)

// ErrorEvents is the policy of event sets that have none of their own. Who asked
// for an acknowledgement gets {success: false, error, code}. An "error" event
// {message, code} comes as well, unless the refusal is quiet. Socket.IO itself
// has no such thing: in the reference implementation nobody hears of an event
// that was not handled.
func ErrorEvents(e *Event, refusal *EventError) {
	_ = e.Ack.ReplyWith(struct {
		Success bool   `json:"success"`
		Error   string `json:"error"`
		Code    string `json:"code"`
	}{false, refusal.Message, refusal.Code})
	if !refusal.Quiet {
		e.Socket.emitError(refusal.Code, refusal.Message)
	}
}

// emitError tells a client by an "error" event {message, code} of something that
// is no answer to an event.
func (s *Socket) emitError(code, message string) {
	_ = s.EmitArgs("error", errorArgs(code, message))
}

// errorArgs are the arguments of an "error" event.
func errorArgs(code, message string) packet.Args {
	args, _ := packet.NewArgs(struct {
		Message string `json:"message"`
		Code    string `json:"code"`
	}{message, code})
	return args
}

// Refuse tells the sender that its event was not accepted, by the
// [RefusalPolicy] of the event set that handles the event.
func (e *Event) Refuse(code, message string) { e.refuse(&EventError{Code: code, Message: message}) }

// RefuseQuietly is Refuse for what only those are to hear of who wait for an
// acknowledgement, see [EventError].
func (e *Event) RefuseQuietly(code, message string) {
	e.refuse(&EventError{Code: code, Message: message, Quiet: true})
}

func (e *Event) refuse(refusal *EventError) {
	e.Socket.noteRefused(e, refusal)
	e.Socket.tell(e, refusal)
}

// tell has a policy tell a client of a refusal.
func (s *Socket) tell(e *Event, refusal *EventError) {
	defer func() {
		if r := recover(); r != nil {
			s.logPanic("refusing "+logline.Text(e.Name, maxLoggedEvent), r)
		}
	}()
	s.namespace.handlers.Load().policyOf(e.Name)(e, refusal)
}

// fail refuses an event because of an error of its handler.
func (e *Event) fail(err error) {
	var refusal *EventError
	if errors.As(err, &refusal) {
		e.refuse(refusal)
		return
	}
	s := e.Socket
	level := slog.LevelError
	if !s.Connected() {
		// Most likely that is why.
		level = slog.LevelDebug
	}
	server := s.namespace.server
	if level == slog.LevelDebug || server.failures.Allow(s.namespace.name+codeSeparator+e.Name) {
		server.logger.Log(s.Context(), level, "an event handler has failed", "namespace", s.namespace.name,
			"event", logline.Text(e.Name, maxLoggedEvent), "error", logline.Text(err.Error(), maxLoggedError),
			"connection", s.client().session.LogID(), "client_ip", s.client().session.Handshake().RemoteAddr)
	}
	e.refuse(&EventError{Code: CodeInternalError, Message: textInternalError})
}

const textInternalError = "internal error"

// misfit refuses an event whose arguments do not fit its handler.
func (e *Event) misfit(err error) {
	e.Socket.namespace.server.logger.Debug("an event does not fit its handler",
		"namespace", e.Socket.namespace.name, "event", e.Name, "error", err, "reason", errors.Unwrap(err))
	e.Refuse(CodeInvalidPayload, err.Error())
}

// recoverEvent, deferred, logs a panic of an event's handler and refuses the
// event.
func (s *Socket) recoverEvent(e *Event) {
	if r := recover(); r != nil {
		s.logPanic(e.Name, r)
		e.Refuse(CodeInternalError, textInternalError)
	}
}

// recoverPanic, deferred, logs a panic of a handler and tells the client that
// something went wrong.
func (s *Socket) recoverPanic(during string) {
	if r := recover(); r != nil {
		s.logPanic(during, r)
		s.tellOfPanic()
	}
}

func (s *Socket) tellOfPanic() {
	s.tell(&Event{Socket: s}, &EventError{Code: CodeInternalError, Message: textInternalError})
}

// recoverConnect, deferred, refuses a client whose authorization panicked. One
// that was let in already stays.
func (s *Socket) recoverConnect() {
	r := recover()
	if r == nil {
		return
	}
	s.logPanic("connect", r)
	if s.Connected() {
		s.tellOfPanic()
		return
	}
	s.refuse(&ConnectError{Message: textInternalError})
}

func (s *Socket) logPanic(during string, r any) {
	s.namespace.server.logger.Error("panic in an event handler",
		"namespace", s.namespace.name, "event", during, "panic", r, "stack", string(debug.Stack()))
}

// newFailures returns the limit for lines about handlers that have failed, whose
// kinds are namespaces with the name of an event that has a handler.
func newFailures(logger *slog.Logger) *logline.Limiter {
	return logline.NewLimiter(func(kind string, more int64) {
		namespace, event, _ := strings.Cut(kind, codeSeparator)
		logger.Error("more event handlers have failed", "namespace", namespace,
			"event", logline.Text(event, maxLoggedEvent), "count", more)
	})
}
