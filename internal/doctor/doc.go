// Package doctor walks a site as a Socket.IO client would, and says in words what is wrong, where
// it was seen, and which line mends it.
//
// It is the command `caddy socketio doctor`. It needs nothing of the site but its address, so it
// examines any Socket.IO server behind any proxy: it sees what a client sees.
//
// Each check is a file of its own and adds findings to a [Report]. Everything is bounded: the time
// of each request, the bytes that are read of an answer, the number of requests, and the whole
// visit. Every session it opens it closes, and no session ID, credential or control character of a
// server's gets into what it prints.
package doctor
