// Package wire has the bytes of the Engine.IO protocol, revision 4: packets,
// the payloads of long-polling, and WebSocket frames, which may be compressed.
//
// It is about bytes alone. It knows no session, starts no goroutine and keeps no
// time; package engineio does all of that with it.
//
// What goes out is a [Message], built once by [New] for all clients that get it:
// [Message.Frames] is its form on a WebSocket, [Payload] that of an answer of
// long-polling. What comes in is read by a [Reader] from a WebSocket, or by
// [DecodePayload] from the body of a request, and is a [Packet] in the end.
//
// The specification is the document "Engine.IO protocol", revision 4, of the
// Socket.IO project, and besides RFC 6455 (WebSocket) and RFC 7692 (its
// compression).
package wire
