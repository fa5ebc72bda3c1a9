// Package model is a model of one Engine.IO session, as its client and the program behind the server
// see it. A test tells the model what the client, the program and the network do, and what the client
// and the program then observe. The model says whether the observation is allowed.
//
// The model is written from the document "Engine.IO protocol", revision 4, of the Socket.IO project,
// and from RFC 6455. It imports nothing of the server that it is held against. What it demands:
//
//   - What the server has accepted for the client is delivered once, in order, also across an upgrade,
//     unless the client is gone or has broken the protocol.
//   - When the server closes a session, the client gets what was accepted before, and is then told of
//     the end, by a close packet or a close frame, once.
//   - The program hears each message of the client once, in order, and hears of the end once, with a
//     reason that fits what has happened.
//   - When everything is at rest, nothing that could be done is left undone: see [Session.Rest].
//
// Times are durations since a moment that the test chooses. All methods of a Session must be called by
// one goroutine at a time, in the order in which things happened. After the first thing that is not
// allowed the model says the same error again and again.
package model
