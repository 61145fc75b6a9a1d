//go:build !linux

package client

import (
	"errors"
	"syscall"
)

// bindTo is for Linux; elsewhere Options.LocalAddr does nearly the same.
func bindTo(string) func(network, address string, c syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error {
		return errors.New("client: Interface is for Linux; use LocalAddr")
	}
}
