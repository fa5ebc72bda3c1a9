package lang

import "fmt"

// Program says what a service does with rooms. It is what was written, checked by [Check] before it
// is used.
type Program struct {
	// On are the handlers: at most one for "connect", one for each pattern of "disconnecting" and one
	// for each event of clients. At least one.
	On []Handler `json:"on,omitempty"`

	// Allow are templates of names that a client may choose although the names of another template
	// begin so, see [Room]. Default: none.
	Allow []string `json:"allow,omitempty"`

	// AllowAt is where Allow is written, for who reports an error. Nil in JSON.
	AllowAt any `json:"-"`

	// MaxMembers is how many sockets may be in one room. Zero means the default, see
	// [DefaultMaxMembers].
	MaxMembers int `json:"max_members,omitempty"`
}

// DefaultMaxMembers is how many sockets may be in one room of a program that lists members, unless
// it says otherwise: each change is told to all members with a list of all members. A program that
// lists none has no such bound.
const DefaultMaxMembers = 1000

// The names of the handlers that are not for an event of clients. Socket.IO reserves them, so no
// event has one.
const (
	// OnConnect is the handler for a socket that has connected.
	OnConnect = "connect"
	// OnDisconnecting is the handler for each room of a socket that is gone, in the order in which
	// the socket has joined them.
	OnDisconnecting = "disconnecting"
)

// Handler is what happens at an event.
type Handler struct {
	// Event is the name of the event, or one of OnConnect and OnDisconnecting.
	Event string `json:"event"`

	// Args are the names of the event's arguments, by position. One that ends with "?" may be
	// missing; one that ends with "..." comes last and stands for all that are left.
	Args []string `json:"args,omitempty"`

	// Room, for OnDisconnecting, says of which rooms the handler is: "<name>" of all, and
	// "beginning<name>" of those that begin so. The name stands for the rest of the room's name. The
	// handler with the longest beginning is the one that runs.
	Room string `json:"room,omitempty"`

	// Do are the steps, in order. At least one.
	Do []Step `json:"do"`

	// At is where the handler is written, for who reports an error. Nil in JSON.
	At any `json:"-"`
}

// Step is one primitive with what it takes. Which fields mean something is up to Do.
type Step struct {
	// Do is the name of the primitive, see [Primitives].
	Do string `json:"do"`

	// Room is the template of the room that is joined, left, or sent to.
	Room string `json:"room,omitempty"`
	// Socket is the template of the ID of the one socket that is sent to.
	Socket string `json:"socket,omitempty"`
	// Everyone is true for what is sent to the whole namespace.
	Everyone bool `json:"everyone,omitempty"`
	// All is true if what is sent to a room, or to everyone, also goes to the sender.
	All bool `json:"all,omitempty"`
	// Volatile is true for what is better lost than late.
	Volatile bool `json:"volatile,omitempty"`
	// Event is the name of the event that is emitted.
	Event string `json:"event,omitempty"`
	// Values are the arguments of what is emitted or acknowledged.
	Values []string `json:"values,omitempty"`

	// Value is what is looked at by "check" and "when".
	Value string `json:"value,omitempty"`
	// Is is the bound of a "check", and what the value of a "when" may be.
	Is []string `json:"is,omitempty"`

	// Code and Message are those of a refusal.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`

	// Max is how many sockets may be in the room that is joined. Zero means that of the program.
	Max int `json:"max,omitempty"`

	// Steps are what is done under a condition.
	Steps []Step `json:"steps,omitempty"`

	// At is where the step is written, for who reports an error. Nil in JSON.
	At any `json:"-"`
}

// Error is what is wrong with a program.
type Error struct {
	// At is where the line is written that is wrong: that of the handler or of the step. Nil for a
	// program in JSON.
	At any
	// Where says the same in words, for programs in JSON: the event, and the number of the step.
	Where string
	// Err says what is wrong, and what to write.
	Err error
}

func (e *Error) Error() string {
	if e.Where == "" {
		return e.Err.Error()
	}
	return e.Where + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// wrong returns an error about what is written at a place.
func wrong(at any, format string, args ...any) error {
	return &Error{At: at, Err: fmt.Errorf(format, args...)}
}
