package client

import "syscall"

// bindTo makes sockets leave by one network interface.
func bindTo(name string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var bound error
		if err := c.Control(func(fd uintptr) { bound = syscall.BindToDevice(int(fd), name) }); err != nil {
			return err
		}
		return bound
	}
}
