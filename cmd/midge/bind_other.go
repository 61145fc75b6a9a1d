//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// bindTo keeps a socket to one network interface.
func bindTo(device string) func(network, address string, c syscall.RawConn) error {
	if device == "" {
		return nil
	}
	return func(string, string, syscall.RawConn) error {
		return errors.New("a listener is bound to an interface on Linux alone: name its address instead")
	}
}
