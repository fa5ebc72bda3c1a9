// Package moving reads what an old setup of Socket.IO is written in, such as the config of nginx in
// front of a service, and writes the Caddyfile that takes its place.
//
// Nothing that is read is run, and nothing is passed over in silence: each line of an old config is
// taken, is not needed any more, or is left, and the Caddyfile says which, with file and line. Where a
// line that keeps people out cannot be taken, what it guarded is closed in the Caddyfile.
package moving
