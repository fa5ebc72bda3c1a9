// Package load makes clients for a Socket.IO server on this machine and counts what they see.
//
// It speaks Engine.IO 4 and Socket.IO 5 by itself, on bare connections, so that the clients cost
// little beside the server they measure: one goroutine per receiver, no allocation per message,
// payloads looked at and never kept. It connects to loopback addresses only, and every scenario is
// bounded in count and in time.
package load
