package midge_test

import (
	"flag"
	"net/netip"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

var clientsFlag = flag.Int("midge.clients", 500, "how many clients TestBytesPerClient connects over TCP; 0: as many as there are descriptors for, at two each")

// What a client over plain TCP costs, its session and its socket included. As
// many as the machine has descriptors for:
//
//	go test -run TestBytesPerClient -v . -midge.clients 0
func TestBytesPerClient(t *testing.T) {
	const budget = 790 // bytes; few clients share what the broker has once
	n := *clientsFlag
	if n == 0 {
		n = affordable(t)
	}
	b, err := midge.New(midge.Config{Logger: quiet(), Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}, SysInterval: -1, MaxConnections: n + 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	to := netip.MustParseAddrPort(b.Addrs()[0][len("tcp://"):])
	fds := make([]int, 0, n)
	defer func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}()
	fds = append(fds, comeIn(t, to, 0)) // makes what the broker has once
	before := heap()
	for i := 1; i <= n; i++ {
		fds = append(fds, comeIn(t, to, i))
	}
	each := int(heap()-before) / n
	t.Logf("%d clients: %d bytes each", n, each)
	if each > budget {
		t.Errorf("%d bytes a client, want at most %d", each, budget)
	}
}

// affordable is how many clients there are descriptors for, with both ends here.
func affordable(t *testing.T) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(limit.Cur-100) / 2
}

// comeIn connects client i without a byte on the heap that outlives it, from an
// address of its own for every 20,000: ports are scarce.
func comeIn(t *testing.T, to netip.AddrPort, i int) int {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil && i >= 20_000 {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(i / 20_000)}})
	}
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	}
	hello := packet.Connect{Version: mqtt.V311, ClientID: []byte("client-" + strconv.Itoa(i)), CleanStart: true, Properties: new(packet.Properties)}
	if err == nil {
		_, err = syscall.Write(fd, hello.Append(nil))
	}
	var answer [4]byte
	if err == nil {
		_, err = syscall.Read(fd, answer[:]) // CONNACK comes in one piece
	}
	if err != nil || answer[0]>>4 != byte(packet.CONNACK) || answer[3] != 0 {
		t.Fatalf("client %d: %v, %x", i, err, answer)
	}
	runtime.KeepAlive(hello)
	return fd
}
