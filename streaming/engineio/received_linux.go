package engineio

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// askKernel asks for what TCP knows of the connection, see tcp(7), TCP_INFO.
func askKernel(conn net.Conn) (r received) {
	file, ok := conn.(syscall.Conn)
	if !ok {
		return r
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return r
	}
	err = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			r.acked = uint32(info.Bytes_acked) //nolint:gosec // wraps around on purpose
			r.known = true
			r.waits = info.Unacked > 0 || info.Notsent_bytes > 0
		}
	})
	r.closed = errors.Is(err, net.ErrClosed)
	return r
}
