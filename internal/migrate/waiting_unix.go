//go:build unix

package migrate

import "golang.org/x/sys/unix"

// waiting reports whether a connection waits to be accepted.
func waiting(socket socket) bool {
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	})
	return err == nil && n > 0
}

// ownSocket returns the socket itself if nobody else accepts from it.
func ownSocket(ln any) (socket, bool) {
	s, ok := ln.(socket)
	return s, ok
}
