package bench

import (
	"net"
	"syscall"
	"testing"
)

// A socket bound to an address has no port before it connects.
func TestChooseLate(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := net.Dialer{Control: func(network, address string, c syscall.RawConn) error {
		if err := chooseLate(network, address, c); err != nil {
			return err
		}
		return c.Control(func(fd uintptr) {
			if err := syscall.Bind(int(fd), &syscall.SockaddrInet4{Addr: [4]byte(source(3).To4())}); err != nil {
				t.Error(err)
			}
			at, err := syscall.Getsockname(int(fd))
			if in, ok := at.(*syscall.SockaddrInet4); err != nil || !ok || in.Port != 0 {
				t.Errorf("bound to %+v, %v", at, err)
			}
		})
	}}
	nc, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if a := nc.LocalAddr().(*net.TCPAddr); !a.IP.Equal(source(3)) || a.Port == 0 {
		t.Errorf("connected from %v", a)
	}
}
