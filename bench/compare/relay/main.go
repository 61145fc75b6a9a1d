// Command relay is no broker: it is what is left of one when everything but the
// kernel's work has been taken away, a ceiling to compare brokers with.
//
//	relay -listen 127.0.0.1:1883 [-buffer 65536] [-how copy|splice]
//
// It answers CONNECT and SUBSCRIBE, sees from a client's first PUBLISH which
// subscriber its messages are for, and from then on hands every byte over as it
// comes, without looking at it: what one read brings is one write. That will do
// for the pairs of midge bench at QoS 0, and for nothing else.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:1883", "`address` to listen at")
	size := flag.Int("buffer", 64<<10, "`bytes` of a read at most")
	how := flag.String("how", "copy", "read and write through memory of this process (`copy`), or splice through a pipe")
	flag.Parse()
	if err := run(*listen, *size, *how == "splice"); err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

// A client is a connection: at first it is listened to, then passed on.
type client struct {
	fd     int
	in     []byte
	target int // where its bytes go; 0: not known yet
}

type relay struct {
	epoll   int
	clients map[int32]*client
	subs    map[string]int // descriptors by filter
	buf     []byte
	pipe    []int // of splice; nil: copy
}

func run(listen string, size int, splice bool) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	r := &relay{clients: map[int32]*client{}, subs: map[string]int{}, buf: make([]byte, size)}
	if r.epoll, err = unix.EpollCreate1(0); err != nil {
		return err
	}
	if splice {
		r.pipe = make([]int, 2)
		if err := unix.Pipe2(r.pipe, unix.O_NONBLOCK); err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(r.pipe[0]), unix.F_SETPIPE_SZ, size); err != nil {
			return err
		}
	}
	raw, err := ln.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	if err := r.watch(int(raw.Fd())); err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(r.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			switch c := r.clients[e.Fd]; {
			case c == nil:
				err = r.accept(int(raw.Fd()))
			case c.target > 0:
				r.pass(c)
			default:
				r.listen(c)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (r *relay) watch(fd int) error {
	return unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (r *relay) accept(ln int) error {
	fd, _, err := unix.Accept4(ln, unix.SOCK_NONBLOCK)
	if err != nil {
		return err
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	r.clients[int32(fd)] = &client{fd: fd}
	return r.watch(fd)
}

func (r *relay) end(c *client) {
	delete(r.clients, int32(c.fd))
	unix.Close(c.fd)
}

// listen reads packets until it knows where the client's messages go.
func (r *relay) listen(c *client) {
	n, err := unix.Read(c.fd, r.buf)
	if err == unix.EAGAIN {
		return
	}
	if err != nil || n == 0 {
		r.end(c)
		return
	}
	c.in = append(c.in, r.buf[:n]...)
	for c.target == 0 {
		body, size := cut(c.in)
		if size == 0 {
			return
		}
		r.answer(c, c.in[0]>>4, body)
		if c.target == 0 {
			c.in = c.in[size:]
		}
	}
	r.write(c.target, c.in)
	c.in = nil
}

// answer does what a packet asks for.
func (r *relay) answer(c *client, kind byte, body []byte) {
	const connect, publish, subscribe, unsubscribe = 1, 3, 8, 10
	switch kind {
	case connect:
		r.write(c.fd, []byte{0x20, 2, 0, 0})
	case subscribe:
		r.subs[text(body[2:])] = c.fd
		r.write(c.fd, []byte{0x90, 3, body[0], body[1], 0})
	case unsubscribe:
		r.write(c.fd, []byte{0xB0, 2, body[0], body[1]})
	case publish:
		c.target = r.subs[text(body)]
	}
}

// text is the string that begins b, behind its length.
func text(b []byte) string { return string(b[2 : 2+int(b[0])<<8+int(b[1])]) }

// cut returns the body of the first packet in b and how long all of it is, 0 if
// it is not all there.
func cut(b []byte) (body []byte, size int) {
	length, shift := 0, 0
	for i := 1; i < len(b); i++ {
		length |= int(b[i]&0x7F) << shift
		if shift += 7; b[i] >= 0x80 {
			continue
		}
		if size = i + 1 + length; size > len(b) {
			return nil, 0
		}
		return b[i+1 : size], size
	}
	return nil, 0
}

// pass hands over what there is.
func (r *relay) pass(c *client) {
	if r.pipe != nil {
		r.splice(c)
		return
	}
	n, err := unix.Read(c.fd, r.buf)
	if err == unix.EAGAIN {
		return
	}
	if err != nil || n == 0 || bytes.Equal(r.buf[:n], []byte{0xE0, 0}) {
		r.end(c)
		return
	}
	r.write(c.target, r.buf[:n])
}

func (r *relay) splice(c *client) {
	const flags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK
	n, err := unix.Splice(c.fd, nil, r.pipe[1], nil, len(r.buf), flags)
	if err == unix.EAGAIN {
		return
	}
	if err != nil || n == 0 {
		r.end(c)
		return
	}
	for n > 0 {
		m, err := unix.Splice(r.pipe[0], nil, c.target, nil, int(n), flags)
		if err == unix.EAGAIN {
			await(c.target)
			continue
		}
		if err != nil {
			r.end(c)
			return
		}
		n -= m
	}
}

// write writes all of b, and waits if it has to: there is nothing else to do.
func (r *relay) write(fd int, b []byte) {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EAGAIN {
			await(fd)
			continue
		}
		if err != nil {
			return // its end will be read
		}
		b = b[n:]
	}
}

func await(fd int) { unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1) }
