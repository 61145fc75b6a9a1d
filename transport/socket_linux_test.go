package transport

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// polled is a listener whose connections p watches, and a socket of it with the
// peer at its other end.
func polled(t *testing.T, url string) (p *Poller, s *Socket, peer net.Conn) {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, url, Options{Poller: func() *Poller { return p }})
	t.Cleanup(func() {
		p.Close()
		if _, ok := p.Wait(true); ok {
			t.Error("Wait goes on after Close")
		}
	})
	client, server := connect(t, l, DialOptions{})
	s, ok := server.(*Socket)
	if !ok {
		t.Fatalf("Accept returned a %T", server)
	}
	return p, s, client
}

// await calls Wait until it returns a socket.
func await(t *testing.T, p *Poller) *Socket {
	t.Helper()
	for range 100 {
		ready, ok := p.Wait(true)
		if !ok {
			t.Fatal("the Poller is closed")
		}
		if len(ready) > 0 {
			return ready[0]
		}
	}
	t.Fatal("nothing is ready")
	return nil
}

func TestSocketIsReportedOncePerArrival(t *testing.T) {
	for _, url := range []string{"tcp://127.0.0.1:0", "tcp://[::1]:0", "unix://" + t.TempDir() + "/s"} {
		p, s, peer := polled(t, url)
		if err := s.Attach("owner"); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 16)
		if n, err := s.TryRead(buf); n != 0 || err != ErrAgain {
			t.Errorf("%s: TryRead = %d, %v before anything came", url, n, err)
		}
		for _, text := range []string{"one", "two"} {
			io.WriteString(peer, text)
			if got := await(t, p); got != s || got.Owner != "owner" {
				t.Fatalf("%s: Wait returned %v", url, got)
			}
			n, err := s.TryRead(buf)
			if err != nil || string(buf[:n]) != text {
				t.Errorf("%s: read %q, %v", url, buf[:n], err)
			}
			if ready, _ := p.Wait(false); len(ready) != 0 {
				t.Errorf("%s: what has been read is reported again", url)
			}
		}
		if s.Kind() == TCP && (s.RemoteAddr().String() != peer.LocalAddr().String() || s.LocalAddr().String() != peer.RemoteAddr().String()) {
			t.Errorf("%s: from %v to %v, want %v to %v", url, s.RemoteAddr(), s.LocalAddr(), peer.LocalAddr(), peer.RemoteAddr())
		}
		peer.Close()
		await(t, p)
		if _, err := s.TryRead(buf); err != io.EOF {
			t.Errorf("%s: TryRead = %v at the end", url, err)
		}
		s.Close()
		if _, err := s.TryRead(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: TryRead = %v after Close", url, err)
		}
	}
}

// A socket that has been taken is not reported, and Park gives it back only
// when there is nothing left to read.
func TestLeaveAndPark(t *testing.T) {
	p, s, peer := polled(t, "tcp://127.0.0.1:0")
	s.Attach(nil)
	s.Leave()
	io.WriteString(peer, "x")
	buf := make([]byte, 8)
	waited := make(chan struct{})
	go func() { // whoever waits sees the arrival, and wakes Read
		p.Wait(true)
		close(waited)
	}()
	if n, err := s.Read(buf); n != 1 || err != nil {
		t.Fatalf("Read = %d, %v", n, err)
	}
	<-waited
	s.SetReadDeadline(time.Unix(1, 0))
	if s.Park() {
		t.Error("Park gives back a socket whose deadline has passed")
	}
	if _, err := s.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %v after its deadline", err)
	}
	s.SetReadDeadline(time.Time{})
	if !s.Park() || s.Away() {
		t.Error("Park keeps a socket with nothing to read")
	}
	s.Close()
}

// A deadline in the past is told at once, one to come in its time.
func TestSocketDeadlines(t *testing.T) {
	p, s, peer := polled(t, "tcp://127.0.0.1:0")
	s.Attach(nil)
	buf := make([]byte, 8)
	for _, d := range []time.Duration{-time.Second, 300 * time.Millisecond} {
		set := time.Now()
		s.SetReadDeadline(set.Add(d))
		if got := await(t, p); got != s {
			t.Fatal("another socket")
		}
		if early := d - time.Since(set); early > 0 {
			t.Errorf("a deadline in %v is told %v too early", d, early)
		}
		if _, err := s.TryRead(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("TryRead = %v", err)
		}
		s.SetReadDeadline(time.Time{})
	}
	io.WriteString(peer, "x")
	await(t, p)
	if n, err := s.TryRead(buf); n != 1 || err != nil {
		t.Errorf("TryRead = %d, %v when the deadline is off", n, err)
	}
	s.Close()
	peer.Close()
}

// Write waits for room as long as its deadline lets it, and Close ends it.
func TestSocketWriteWaits(t *testing.T) {
	p, s, peer := polled(t, "tcp://127.0.0.1:0")
	s.Attach(nil)
	s.Leave()
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		for {
			if _, ok := p.Wait(true); !ok || s.users.Load() >= closedMark {
				return
			}
		}
	}()
	big := bytes.Repeat([]byte("midge"), 4<<20)
	n, err := s.TryWrite(big)
	if err != ErrAgain || n == 0 || n == len(big) {
		t.Fatalf("TryWrite = %d, %v", n, err)
	}
	s.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := s.Write(big); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write = %v", err)
	}
	s.SetWriteDeadline(time.Time{})
	got := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, peer)
		got <- n
	}()
	m, err := s.Write(big[:1<<20])
	if m != 1<<20 || err != nil {
		t.Errorf("Write = %d, %v", m, err)
	}
	s.CloseWrite()
	if total := <-got; total < int64(n+m) {
		t.Errorf("%d bytes arrived of at least %d", total, n+m)
	}
	s.Close()
	p.mu.Lock()
	p.wakeLocked()
	p.mu.Unlock()
	peer.Close()
	<-waiting
}

// The wheel tells every deadline, not before its time and at most a notch late.
func TestWheel(t *testing.T) {
	var w wheel
	at := int64(1e9)
	socks := make([]*Socket, 500)
	for i := range socks {
		socks[i] = &Socket{fd: int32(i), deadline: notchAfter(time.Duration(at) + time.Duration(i*i)*time.Millisecond)}
		w.set(socks[i], socks[i].deadline, at)
	}
	for i := 0; i < len(socks); i += 7 {
		w.remove(socks[i])
		socks[i] = nil
	}
	fired := 0
	for now := at; w.n > 0; {
		wait := int64(w.next(now)) * int64(time.Millisecond)
		if wait <= 0 {
			t.Fatal("a wheel that turns does not say until when")
		}
		now += wait
		w.turn(now, func(s *Socket) {
			fired++
			if late := time.Duration(now) - s.deadline.time(); late < 0 || late > 3*wheelNotch {
				t.Errorf("a deadline at %v is told %v late", s.deadline.time(), late)
			}
		})
	}
	if want := len(socks) - (len(socks)+6)/7; fired != want {
		t.Errorf("%d deadlines were told, want %d", fired, want)
	}
}

func TestNotch(t *testing.T) {
	for d, want := range map[time.Duration]notch{-time.Hour: 1, 0: 1, wheelNotch: 1, wheelNotch + 1: 2, 1 << 62: math.MaxUint32} {
		if got := notchAfter(d); got != want {
			t.Errorf("%v ends in notch %d, want %d", d, got, want)
		}
	}
	if n := unsafe.Sizeof(Socket{}); unsafe.Sizeof(uintptr(0)) == 8 && n > 96 {
		t.Errorf("a Socket has %d bytes, more than 96", n)
	}
}

// What happens to a socket before it is attached is told then, and not to
// somebody who does not know whose it is.
func TestSocketBeforeAttach(t *testing.T) {
	p, s, _ := polled(t, "tcp://127.0.0.1:0")
	s.SetReadDeadline(time.Unix(1, 0))
	if ready, _ := p.Wait(false); len(ready) != 0 {
		t.Fatalf("Wait returned a socket of %v", ready[0].Owner)
	}
	if err := s.Attach("owner"); err != nil {
		t.Fatal(err)
	}
	if got := await(t, p); got != s || got.Owner != "owner" {
		t.Fatalf("Wait returned %v", got)
	}
	if _, err := s.TryRead(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("TryRead = %v", err)
	}

	_, s, _ = polled(t, "tcp://127.0.0.1:0")
	s.Close()
	if err := s.Attach("owner"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Attach of a closed socket = %v", err)
	}
}

// The end that came together with the last bytes is told behind them, although
// epoll reports it once.
func TestSocketTellsTheEndBehindBytes(t *testing.T) {
	p, s, peer := polled(t, "tcp://127.0.0.1:0")
	io.WriteString(peer, "bye")
	peer.(interface{ CloseWrite() error }).CloseWrite()
	if err := s.Attach("owner"); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for {
		await(t, p)
		b := make([]byte, 16)
		n, err := s.TryRead(b)
		got = append(got, b[:n]...)
		for err == nil && s.More() {
			n, err = s.TryRead(b)
			got = append(got, b[:n]...)
		}
		if err == io.EOF {
			break
		}
		if err == nil && s.is(ended) {
			t.Fatalf("%q is told, and not that it is the end", got)
		}
	}
	if string(got) != "bye" {
		t.Errorf("read %q", got)
	}
	s.Close()
}

// What is done with a socket that has been closed does not reach whoever has its
// descriptor now.
func TestClosedSocketLeavesItsDescriptorAlone(t *testing.T) {
	p, s, _ := polled(t, "tcp://127.0.0.1:0")
	fd := int(s.fd)
	s.Close()
	s.SetReadDeadline(time.Now().Add(time.Hour))
	if p.wheel.n != 0 || fd < len(p.wheel.sockets) && p.wheel.sockets[fd] == s {
		t.Error("it is in the wheel, in the place of the next one to have the descriptor")
	}
	if err := syscall.Dup3(int(os.Stdin.Fd()), fd, syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read = %v after Close", err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		t.Fatalf("the next one to have the descriptor lost it: %v", err)
	}
	syscall.Close(fd)
}

// A listener that does not take an option for its connections is polled all the
// same: the option is set on each.
func TestListenerWithoutInheritance(t *testing.T) {
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.Close()
		p.Wait(true)
	}()
	l := listen(t, "tcp://127.0.0.1:0", Options{KeepAlive: 1 << 20 * time.Second, Poller: func() *Poller { return p }})
	_, server := connect(t, l, DialOptions{})
	s, ok := server.(*Socket)
	if !ok {
		t.Fatalf("Accept returned a %T", server)
	}
	for _, o := range [][2]int{{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE}, {syscall.IPPROTO_TCP, syscall.TCP_NODELAY}} {
		if v, err := syscall.GetsockoptInt(int(s.fd), o[0], o[1]); v != 1 || err != nil {
			t.Errorf("option %v is %d, %v", o, v, err)
		}
	}
}

// A Poller that waits holds on to no socket it has told of.
func TestPollerForgetsWhatItTold(t *testing.T) {
	p, s, peer := polled(t, "tcp://127.0.0.1:0")
	s.Attach("owner")
	io.WriteString(peer, "x")
	await(t, p)
	s.TryRead(make([]byte, 16))
	p.Wait(false)
	for _, kept := range p.ready[:cap(p.ready)] {
		if kept != nil {
			t.Fatal("it keeps a socket")
		}
	}
	s.Close()
}
