// Package streaming is a Socket.IO server: protocol revision 5, on top of
// package engineio. It knows nothing of Caddy and of no event name.
//
// A [Server] has namespaces; a client that connects to a [Namespace] is a
// [Socket] there; sockets join rooms. What happens in a namespace is up to its
// [Handlers]. Arguments of events stay the raw bytes that came ([packet.Args]): a
// handler decodes what it needs, a relay decodes nothing.
//
// The handlers of one socket run one at a time, in the order in which their
// events came, and never on the goroutine that reads from the client: a
// handler may wait. A panic in a handler is logged, the client gets an "error"
// event, and everything else goes on.
//
// A server is by itself unless [Options] give it an [Adapter], which brings each
// of its namespaces together with the same one of other processes: what is done
// with many by a [Broadcast] then reaches all of them.
//
// The specification is the document "Socket.IO protocol", revision 5, of the
// Socket.IO project.
package streaming
