package bench

import "syscall"

// chooseLate leaves the port of a socket that is bound to one of Sources to
// connect, which knows the other end: bind would have to find one that nobody
// has to anywhere, and with the ports of earlier runs still waiting out their
// time that is most of what a storm takes.
func chooseLate(_, _ string, c syscall.RawConn) error {
	const bindAddressNoPort = 24
	return c.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1) // without it, it takes longer
	})
}
