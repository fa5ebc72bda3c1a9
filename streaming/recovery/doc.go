// Package recovery keeps what is sent to clients for a while, so that a client whose connection was
// cut gets what it has missed when it is back: what the Socket.IO protocol calls connection state
// recovery.
//
// A [Log] has the packets of one namespace in the order in which they were sent. A packet for many is
// kept once, with the rooms that it was for, and not once for each receiver: a [Session] knows when its
// socket was in which room, and so which packets were for it. The place of a packet in the log is the
// offset that clients are told. A [Store] bounds what all logs of a server keep, and how many sockets
// wait for their clients.
//
// What is no longer kept is remembered by the highest place of such a packet in each room. So it is
// known of each session whether it may have missed anything that nobody can give it any more.
package recovery
