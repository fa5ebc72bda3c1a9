// Package packet is what Socket.IO sends: packets, their arguments, and their
// form on the wire in revision 5 of the protocol. It knows of no connection and
// starts no goroutine.
//
// A [Packet] is what goes out; [Decode] makes an [Incoming] of what came in.
// The arguments of both are [Args]: JSON values that stay the bytes that they
// were, along with the binary attachments that placeholders in them stand for.
// [NewArgs] and [ArgsBuilder] make new ones, [ParseArgs] takes what is JSON
// already, and [ArgsBuilder.Forward] hands on part of what came.
package packet
