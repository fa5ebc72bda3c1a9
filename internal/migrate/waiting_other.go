//go:build !unix

package migrate

func waiting(socket) bool { return false }

// ownSocket finds nothing: Caddy has one socket for all listeners at an address, so none waits at
// an old one.
func ownSocket(any) (socket, bool) { return nil, false }
