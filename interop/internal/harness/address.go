package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// FreeAddress is a port nobody listens on now, and none of those that
// connections are made from: one of them may be gone before a broker has it.
func FreeAddress() (string, error) {
	for range 1000 {
		addr := fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000))
		if ln, err := net.Listen("tcp", addr); err == nil {
			return addr, ln.Close()
		}
	}
	return "", errors.New("no port is free")
}
