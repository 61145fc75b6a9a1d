package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// A Socket is a listening socket that was handed over.
type Socket struct {
	Name     string // FileDescriptorName= of the socket unit; its own name where it gives none
	Listener net.Listener
}

// firstSocket is the descriptor that sockets are handed over from.
const firstSocket = 3

// Sockets takes the sockets over that the environment speaks of; none is no
// error. It may be called once: the caller owns them then. getenv is os.Getenv,
// or a stand-in for it.
func Sockets(getenv func(string) string) ([]Socket, error) { return sockets(getenv, firstSocket) }

func sockets(getenv func(string) string, first int) ([]Socket, error) {
	number := getenv("LISTEN_FDS")
	if number == "" || !forUs(getenv("LISTEN_PID")) {
		return nil, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 1<<16 {
		return nil, fmt.Errorf("systemd: LISTEN_FDS is %q, want a number of sockets", number)
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	var all []Socket
	for i := range n {
		s := Socket{Name: "unknown"}
		if i < len(names) && names[i] != "" {
			s.Name = names[i]
		}
		if s.Listener, err = listener(first+i, s.Name); err != nil {
			for _, s := range all {
				s.Listener.Close()
			}
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// listener makes one of a descriptor. It is a copy, which no child inherits;
// the descriptor itself is closed.
func listener(fd int, name string) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), name)
	if f == nil {
		return nil, fmt.Errorf("systemd: descriptor %d (%s) is none", fd, name)
	}
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("systemd: descriptor %d (%s) is no listening stream socket: %w", fd, name, err)
	}
	return ln, nil
}
