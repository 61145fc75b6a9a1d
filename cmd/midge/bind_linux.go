package main

import (
	"fmt"
	"syscall"
)

// bindTo keeps a socket to one network interface.
func bindTo(device string) func(network, address string, c syscall.RawConn) error {
	if device == "" {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptString(int(fd), syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, device)
		}); e != nil {
			return e
		}
		if err != nil {
			return fmt.Errorf("interface %s: %w", device, err)
		}
		return nil
	}
}
