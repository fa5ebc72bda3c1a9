// Package streaming is a Socket.IO server: protocol revision 5, on top of
// package engineio. It knows nothing of Caddy and of no event name.
//
// A [Server] has namespaces; a client that connects to a [Namespace] is a
// [Socket] there; sockets join rooms. What happens in a namespace is up to the
// [Handlers] of its event sets. Arguments of events stay the raw bytes that came
// ([packet.Args]): a handler decodes what it needs, by [Event.Decode] or because
// it was registered by [On], and a relay decodes nothing.
//
// The handlers of one socket run one at a time, in the order in which their
// events came. A handler may wait, and stops nobody but its own client by that:
// it may run on the goroutine that reads from the client, but as soon as it takes
// long, another goroutine goes on reading. [Event.Context] ends when there is
// nothing to wait for any more. A panic in a handler is logged, its event is
// refused, and everything else goes on.
//
// What a socket is sent, by [Socket.Emit] and the methods beside it, is only
// queued: nobody waits for a client, and what one client gets comes in the order
// in which it was emitted. Whoever broadcasts at the same time, all receivers get
// what they have in common in one order. An event set keeps what it knows of a
// socket under a [Key], and what it knows of a namespace in [State].
//
// How clients hear that an event was not accepted is no matter of Socket.IO. Here
// it is that of a [RefusalPolicy], which is [ErrorEvents] for event sets that
// have none of their own. Events that no event set handles are ignored, as in the
// reference implementation, unless a set wants them.
//
// A server is by itself unless [Options] give it an [Adapter], which brings each
// of its namespaces together with the same one of other processes: what is done
// with many by a [Broadcast] then reaches all of them.
//
// The specification is the document "Socket.IO protocol", revision 5, of the
// Socket.IO project.
package streaming
