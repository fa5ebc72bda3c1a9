// Package migrate lets connections go over from an HTTP server that stops to the one that takes its
// place.
//
// A [http.Server] that shuts down closes the connections that no request is being answered on. It
// cannot know what is under way on them: a request may have been sent already, or may even have
// been read. A client that has sent one sees its connection end without an answer, and does not
// know whether it was dealt with.
//
// With this package the old server closes a connection that is not closed: it goes to the
// [Listener] that the new server accepts from, together with the bytes the old server has read
// without making use of them. Only HTTP/1.x connections go over; for HTTP/2 a server says goodbye
// by a frame of its own. A connection goes over only when there is no doubt where the next request
// begins, and that the old server has not begun to answer it: what is in doubt is closed, as ever.
//
// What the old server does with a connection is seen by its states ([NoteState]), by the calls that
// are made of it, and by who looks at the context of its requests ([Context]).
package migrate
