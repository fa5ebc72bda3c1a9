// Package engineio is a server of the Engine.IO protocol, revision 4: the
// layer below Socket.IO that turns HTTP long-polling and WebSocket into one
// ordered, two-way, heart-beaten stream of messages.
//
// The package knows nothing of Socket.IO, of Caddy, or of any event. A
// [Server] answers HTTP requests, a [Session] is one client, and a [Listener]
// hears what the client says. What goes out is a [wire.Message]: its wire bytes
// are built once and never change, so the same message can wait in the queues of
// any number of sessions. [Session.Send] sends to one client, [Broadcast] to many.
//
// Neither waits for a client. A session's outbound queue is bounded in bytes, and
// a client that does not keep up with it is cut off. No session has a goroutine
// that writes: when its queue is no longer empty, the session is handed to a small
// set of flush workers, and a worker writes all that is pending at once. One small
// answer to a client's message is written by the goroutine that reads from the client
// and has handled the message (see [Work] and [Session.Answer]). On long-polling the answer of the next poll takes all that is pending.
//
// A page of one site can make its visitor's browser send requests to another, with
// the visitor's cookies. So a server refuses requests whose Origin header names
// another host than the one they were sent to, WebSockets included. Whoever serves
// the pages of further origins says so with [Options.CheckOrigin]; a program whose
// own code decides about origins before the server gets a request says so with
// [Inbound.OriginChecked]. To let pages of other origins read the answers of
// long-polling, that code must set the headers of CORS, which this package does
// not.
//
// The specification is the document "Engine.IO protocol", revision 4, of the
// Socket.IO project. Where it leaves room, the Node.js implementation is what
// clients are used to, and what this package does too.
package engineio
