// Package packet is what Socket.IO sends: packets, their arguments, and their
// form on the wire in revision 5 of the protocol. It knows of no connection and
// starts no goroutine.
//
// A [Packet] is what goes out; [Decode] makes an [Incoming] of what came in.
// The arguments of both are [Args]: JSON values that stay the bytes that they
// were, along with the binary attachments that placeholders in them stand for.
// [NewArgs] makes them of values and [Args.Decode] makes values of them: both are
// what encoding/json does, but names are as exact as in JavaScript, and a []byte
// is binary data. [ParseArgs] takes what is JSON already. An [ArgsBuilder] puts
// arguments together of parts, and hands on parts of what came.
package packet
