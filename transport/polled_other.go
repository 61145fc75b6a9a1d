//go:build !linux

package transport

import (
	"errors"
	"net"
)

// ErrAgain is what a Socket's TryRead and TryWrite return when there is nothing
// to read, or no room to write.
var ErrAgain = errors.New("transport: nothing to do now")

// A Poller watches sockets for one goroutine, the one that calls Wait. Linux
// alone has it.
type Poller struct{}

// A Socket is a connection watched by a Poller.
type Socket struct {
	Conn
	Owner any
}

// NewPoller fails with [errors.ErrUnsupported].
func NewPoller() (*Poller, error) { return nil, errors.ErrUnsupported }

// Wait returns the sockets that have something to read.
func (*Poller) Wait(bool) ([]*Socket, bool) { return nil, false }

// Close makes Wait return false.
func (*Poller) Close() {}

// Attach begins to watch the socket.
func (*Socket) Attach(any) error { return errors.ErrUnsupported }

// Leave takes the socket from its Poller, for a goroutine that may block.
func (*Socket) Leave() {}

// Away reports whether Leave has taken the socket and Park not given it back.
func (*Socket) Away() bool { return true }

// Park gives the socket back.
func (*Socket) Park() bool { return false }

// Doze gives the socket back until its read deadline.
func (*Socket) Doze() bool { return false }

// More reports whether there may be more to read.
func (*Socket) More() bool { return false }

// TryRead reads what there is.
func (*Socket) TryRead([]byte) (int, error) { return 0, errors.ErrUnsupported }

// TryWrite writes what there is room for.
func (*Socket) TryWrite([]byte) (int, error) { return 0, errors.ErrUnsupported }

func newPolledListener(ln net.Listener, _ Options) net.Listener { return ln }
