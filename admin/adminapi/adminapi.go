// Package adminapi holds what the admin API says and what the command line
// reads: the JSON of both sides.
package adminapi

import (
	"encoding/json"
	"time"
)

// RootSegment stands for the namespace "/" in a path, where %2F would do too.
const RootSegment = "-"

// The content types of the API.
const (
	JSON  = "application/json"
	Lines = "application/x-ndjson"
)

// Bounds of what is asked for.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
	// MaxBody is the largest body of a request, in bytes.
	MaxBody = 1 << 20
	// MaxRooms and MaxRoomName bound the rooms that a request names.
	MaxRooms    = 100
	MaxRoomName = 512
	// MaxListedRooms is how many rooms of one socket are listed.
	MaxListedRooms = 100
	// MaxIdentity bounds the ID of an identity, in bytes.
	MaxIdentity = 256
)

// Hubs is a page of hubs.
type Hubs struct {
	Hubs []Hub  `json:"hubs"`
	Next string `json:"next,omitempty"`
}

// Hub is one hub.
type Hub struct {
	Name string `json:"name"`
	// Node is the server that all of this is of, by its name in the hub's cluster. It is empty where there is
	// none.
	Node        string `json:"node,omitempty"`
	Connections int    `json:"connections"`
	Sockets     int    `json:"sockets"`
	Rooms       int    `json:"rooms"`
	// Waiting is how many clients wait to be let into a namespace until it is found out who they
	// are. It is nil where that is not counted.
	Waiting *int64 `json:"waiting,omitempty"`
	// BufferedBytes is what counts for hub_buffer: the bytes of memory that are taken by what waits
	// for all clients, each message counted once.
	BufferedBytes int64       `json:"buffered_bytes"`
	Namespaces    []Namespace `json:"namespaces"`
	Counters      Counters    `json:"counters"`
}

// Counters count since the hub was made. Those that are nil are not counted.
type Counters struct {
	SlowClients     int64  `json:"slow_clients"`
	VolatileDropped int64  `json:"volatile_dropped"`
	Refused         int64  `json:"refused"`
	EventsIn        *int64 `json:"events_in,omitempty"`
	EventsOut       *int64 `json:"events_out,omitempty"`
	Deliveries      *int64 `json:"deliveries,omitempty"`
	BytesIn         *int64 `json:"bytes_in,omitempty"`
	BytesOut        *int64 `json:"bytes_out,omitempty"`
}

// Nodes are the servers of a hub's cluster, that which was asked first.
type Nodes struct {
	Nodes []Node `json:"nodes"`
	// Missing says why there may be more.
	Missing []Missing `json:"missing,omitempty"`
}

// Node is one server of a cluster.
type Node struct {
	// Name is that of the server, Host that of its machine. Name is empty where there is no cluster.
	Name string `json:"node"`
	Host string `json:"host,omitempty"`
	// Self is true for the server that was asked.
	Self bool `json:"self,omitempty"`
	// Hub is what it says of its hub. It is nil where it has not answered, and Error says why.
	Hub   *Hub   `json:"hub,omitempty"`
	Error string `json:"error,omitempty"`
}

// Missing is a server of the cluster of which nothing is part of an answer, and why. Node is empty where it is not
// known which there are, as others are not reached.
type Missing struct {
	Node  string `json:"node"`
	Error string `json:"error"`
}

// Namespace is one namespace of a hub.
type Namespace struct {
	Name    string `json:"name"`
	Sockets int    `json:"sockets"`
	Rooms   int    `json:"rooms"`
}

// Rooms is a page of rooms.
type Rooms struct {
	Rooms []Room `json:"rooms"`
	Next  string `json:"next,omitempty"`
	// Missing are the servers that have not answered.
	Missing []Missing `json:"missing,omitempty"`
}

// Room is one room.
type Room struct {
	Name    string `json:"name"`
	Sockets int    `json:"sockets"`
}

// Sockets is a page of sockets.
type Sockets struct {
	Sockets []Socket `json:"sockets"`
	Next    string   `json:"next,omitempty"`
	// Missing are the servers that have not answered.
	Missing []Missing `json:"missing,omitempty"`
}

// Socket is one client in one namespace.
type Socket struct {
	ID string `json:"id"`
	// Node is the server that the client is connected to, see [Hub].
	Node      string `json:"node,omitempty"`
	Namespace string `json:"namespace"`
	Transport string `json:"transport"`
	// Protocol is the revision of Engine.IO that the client speaks, 3 or 4. It is left out where it is
	// not known: of a socket of a server without that.
	Protocol       int       `json:"protocol,omitempty"`
	Address        string    `json:"address"`
	ConnectedSince time.Time `json:"connected_since"`
	// Identity is who the client is, where it had to show that.
	Identity string `json:"identity,omitempty"`
	// Rooms are the first MaxListedRooms rooms, RoomCount is how many there are.
	Rooms     []string `json:"rooms"`
	RoomCount int      `json:"room_count"`
	// QueuedBytes is what waits to be written to the client, before it is compressed.
	QueuedBytes int  `json:"queued_bytes"`
	Slow        bool `json:"slow"`
	// What has gone over the client's connection, all its namespaces together.
	MessagesIn  int64 `json:"messages_in"`
	MessagesOut int64 `json:"messages_out"`
	BytesIn     int64 `json:"bytes_in"`
	BytesOut    int64 `json:"bytes_out"`
}

// Emit asks for an event to be sent.
type Emit struct {
	Event string `json:"event"`
	// Args is a JSON array; without it there are no arguments.
	Args     json.RawMessage `json:"args,omitempty"`
	Rooms    RoomList        `json:"rooms,omitempty"`
	Except   []string        `json:"except,omitempty"`
	Volatile bool            `json:"volatile,omitempty"`
}

// RoomList is names of rooms. What is written as null is an empty list, and no missing one: who has
// gathered rooms and found none does not mean everyone.
type RoomList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *RoomList) UnmarshalJSON(data []byte) error {
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return err
	}
	*l = append(RoomList{}, names...)
	return nil
}

// Audience asks for how many sockets an event would be.
type Audience struct {
	Rooms  []string `json:"rooms,omitempty"`
	Except []string `json:"except,omitempty"`
}

// Emitted answers Emit and Audience.
type Emitted struct {
	// Receivers is how many sockets the event was for when it was sent.
	Receivers int `json:"receivers"`
	// Missing are the servers that have not said how many of their sockets it was for.
	Missing []Missing `json:"missing,omitempty"`
}

// Disconnect asks for a socket to be disconnected.
type Disconnect struct {
	// Close closes the whole connection, with the sockets of other namespaces.
	Close bool `json:"close,omitempty"`
}

// DisconnectIdentity asks for all sockets of an identity to be disconnected.
type DisconnectIdentity struct {
	Identity string `json:"identity"`
	// Close closes their whole connections.
	Close bool `json:"close,omitempty"`
}

// Disconnected answers DisconnectIdentity.
type Disconnected struct {
	// Sockets is how many were disconnected.
	Sockets int `json:"sockets"`
	// Missing are the servers that have not answered.
	Missing []Missing `json:"missing,omitempty"`
}

// RoomNames asks for rooms to be joined or left.
type RoomNames struct {
	Rooms []string `json:"rooms"`
}

// Check answers the live and ready checks.
type Check struct {
	Status string   `json:"status"`
	Hubs   []string `json:"hubs,omitempty"`
	// Reason says more of a status that is not good.
	Reason string `json:"reason,omitempty"`
}

// Directions of a line.
const (
	In  = "in"
	Out = "out"
)

// Line is one line of a tail: an event, or one of Lost and End.
type Line struct {
	Time      time.Time `json:"time"`
	Direction string    `json:"direction,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Event     string    `json:"event,omitempty"`
	// Bytes is the size of the arguments.
	Bytes *int `json:"bytes,omitempty"`
	// Socket sent the event (in), receives it (out), or has brought it about
	// and does not receive it (a broadcast).
	Socket    string   `json:"socket,omitempty"`
	Broadcast bool     `json:"broadcast,omitempty"`
	Rooms     []string `json:"rooms,omitempty"`
	Except    []string `json:"except,omitempty"`
	// Args and Attachments are the payload, if it was asked for;
	// PayloadOmitted is true when it is too large to be shown.
	Args           json.RawMessage `json:"args,omitempty"`
	Attachments    [][]byte        `json:"attachments,omitempty"`
	PayloadOmitted bool            `json:"payload_omitted,omitempty"`

	// Lost is how many events were missed before this line.
	Lost int64 `json:"lost,omitempty"`
	// End is why this is the last line.
	End string `json:"end,omitempty"`
}

// The ends of a tail.
const (
	EndReload = "the config was reloaded"
	EndHub    = "the hub has ended"
)

// Error is the answer to what was refused.
type Error struct {
	Error string `json:"error"`
}
