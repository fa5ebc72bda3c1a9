package lang

// Checked is a program that makes sense, ready to be run.
type Checked struct {
	// Connect is nil where nothing happens at a connect.
	Connect *Steps
	// Events are the handlers of events, by the event's name.
	Events map[string]*Steps
	// Leavings are the handlers for the rooms of a socket that is gone, those with the longest
	// beginnings first.
	Leavings []Leaving
	// Allow are templates of names that are free of guards.
	Allow []*Template
	// MaxMembers is how many sockets may be in a room. Zero means that there is no bound.
	MaxMembers int
}

// Leaving is a handler for rooms of a socket that is gone.
type Leaving struct {
	// Beginning is what the names of the rooms begin with.
	Beginning string
	Steps     *Steps
}

// Steps are the checked steps of a handler.
type Steps struct {
	// Args are the arguments that the handler names.
	Args []Arg
	// Checks come before anything is done.
	Checks []Bounded
	// Do are the operations, in order.
	Do []Op
	// Rooms is how many rooms the operations name, each once.
	Rooms int
	// Room is the number of the room that conditions and lists of members are about, or -1, and Subject
	// its template; nil where it is the room that a socket which is gone was in.
	Room    int
	Subject *Room
	// KeepsBooks is true if the handler changes who is in a room, or looks who is: it then has its rooms
	// to itself while it runs.
	KeepsBooks bool
	// Lists is true if it tells lists of members.
	Lists bool
}

// Bounded is a value that is checked.
type Bounded struct {
	Ref   Ref
	Bound Bound
}

// Action is what an operation does.
type Action uint8

// The actions.
const (
	// Emit sends an event.
	Emit Action = iota
	// Join puts the socket into a room.
	Join
	// Leave takes the socket out of a room.
	Leave
	// Ack acknowledges the event.
	Ack
	// Refuse refuses the event, and ends the handler.
	Refuse
	// Disconnect closes the socket's connection, and ends the handler.
	Disconnect
	// IfAlone does operations if nobody else is in the room.
	IfAlone
	// IfOthers does operations if somebody else is in the room.
	IfOthers
	// IfFull does operations in place of all that comes after them, if the room of the join before was
	// full.
	IfFull
	// IfIs does operations if a value is one of some words.
	IfIs
)

// Target says whom an event is sent to.
type Target uint8

// The targets.
const (
	// ToSelf is the socket itself.
	ToSelf Target = iota
	// ToRoom is a room, without the socket unless All is set.
	ToRoom
	// ToSocket is one socket.
	ToSocket
	// ToEveryone is the namespace, without the socket unless All is set.
	ToEveryone
)

// Op is an operation.
type Op struct {
	Action Action
	// Target, All, Volatile, Event and Values are those of Emit; Values are also those of Ack.
	Target   Target
	All      bool
	Volatile bool
	Event    string
	Values   []Value
	// Tail is the number of the first argument if Values are all arguments from that one on, just as
	// they came, and -1 otherwise.
	Tail int

	// Room is the template of the room, and RoomNumber its number within the handler.
	Room       *Room
	RoomNumber int
	// Socket is the template of a socket's ID.
	Socket *Template
	// Max is how many sockets may be in the room that is joined. Zero means that there is no bound. Full is
	// true if an IfFull follows.
	Max  int
	Full bool

	// Code and Message are those of Refuse.
	Code, Message string
	// Ref and Words are those of IfIs.
	Ref   Ref
	Words []string
	// Do is what is done under a condition.
	Do []Op
}

// Room is the template of a room's name, with the names that it must not make.
type Room struct {
	*Template
	// NotBeginnings are beginnings of names, and NotNames names, that other templates of the program
	// make. A client cannot choose them by this one, unless they are among [Checked.Allow].
	NotBeginnings, NotNames []string
}
