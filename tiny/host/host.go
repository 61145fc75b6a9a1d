// Package host runs a fixed-memory broker on an operating system: on a router,
// or to try what a microcontroller will do. The broker's memory stays what its
// Limits say; a connection costs two goroutines and three buffers besides.
package host

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/midgemq/midge/tiny"
	"github.com/midgemq/midge/transport"
)

const (
	handshakeTimeout = 10 * time.Second
	writeTimeout     = 30 * time.Second
	linger           = time.Second // for the peer to read the last words
)

// A Host serves connections with one tiny.Broker. Its methods may be called
// from any goroutine.
type Host struct {
	start time.Time
	work  sync.WaitGroup

	mu    sync.Mutex
	moved *sync.Cond // the broker may have found room
	b     *tiny.Broker
	peers []*peer // by slot
	timer *time.Timer
	armed time.Duration // when timer goes off, since start
	ended bool
}

// A peer is one connection.
type peer struct {
	nc   transport.Conn
	slot tiny.Slot
	wake chan struct{} // there may be something to write

	// Guarded by Host.mu.
	gone bool
	over bool   // close when out is written
	out  []byte // what goes to the peer next; never grows
}

// New takes b over: from now on only Do touches it.
func New(b *tiny.Broker) *Host {
	h := &Host{start: time.Now(), b: b, peers: make([]*peer, b.Limits().Clients+1)}
	h.moved = sync.NewCond(&h.mu)
	h.timer = time.AfterFunc(time.Hour, func() { h.Do(func(*tiny.Broker) {}) })
	return h
}

// Do calls f with the broker, and then sees to what f made of it. f must not
// block.
func (h *Host) Do(f func(b *tiny.Broker)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b.Step(time.Since(h.start))
	f(h.b)
	h.settleLocked()
}

// settleLocked wakes whoever the broker has work for.
func (h *Host) settleLocked() {
	now := time.Since(h.start)
	if next := h.b.Step(now); next < h.armed || h.armed <= now {
		h.armed = min(next, now+time.Hour)
		if !h.ended {
			h.timer.Reset(h.armed - now)
		}
	}
	for fetched := true; fetched; { // what one takes may make room for another
		fetched = false
		for _, p := range h.peers {
			if p != nil && h.b.Pending(p.slot) && h.fetchLocked(p) {
				fetched = true
			}
		}
	}
	h.moved.Broadcast()
}

// fetchLocked takes what the broker has for a peer, as far as its buffer has
// room, and reports whether that was anything.
func (h *Host) fetchLocked(p *peer) (fetched bool) {
	for {
		n := h.b.Outgoing(p.slot, p.out[len(p.out):cap(p.out)])
		if n == 0 {
			break
		}
		p.out = p.out[:len(p.out)+n]
		fetched = true
	}
	if p.over = h.b.Over(p.slot); p.over {
		h.freeLocked(p)
	}
	if p.over || len(p.out) > 0 {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return fetched
}

// Serve accepts connections until ln fails, or ctx ends: then every client is
// told, wills are said, and Serve returns nil once all is closed.
func (h *Host) Serve(ctx context.Context, ln transport.Listener) error {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		nc, err := ln.Accept()
		if err != nil {
			h.shutdown()
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		h.work.Go(func() { h.serve(ctx, nc) })
	}
}

func (h *Host) shutdown() {
	h.Do(func(b *tiny.Broker) {
		h.ended = true // whoever comes now is too late
		h.timer.Stop()
		b.Shutdown()
	})
	h.work.Wait()
}

// serve is the life of one connection.
func (h *Host) serve(ctx context.Context, nc transport.Conn) {
	defer nc.Close()
	shaking, cancel := context.WithTimeout(ctx, handshakeTimeout)
	err := nc.Handshake(shaking)
	cancel()
	if err != nil {
		return
	}
	p := &peer{nc: nc, wake: make(chan struct{}, 1), out: h.buffer()}
	ok := false
	h.Do(func(b *tiny.Broker) {
		if h.ended {
			return
		}
		if p.slot, ok = b.Accept(); ok {
			h.peers[p.slot] = p
		}
	})
	if !ok {
		return
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		h.write(p)
	}()
	h.read(p)
	h.Do(func(*tiny.Broker) { h.freeLocked(p) })
	close(p.wake)
	<-written
}

// freeLocked gives a peer's slot back: after that the peer is only a socket.
func (h *Host) freeLocked(p *peer) {
	if !p.gone {
		p.gone = true
		h.b.Closed(p.slot)
		h.peers[p.slot] = nil
	}
}

// read hands the broker what comes in, until nothing does.
func (h *Host) read(p *peer) {
	buf := make([]byte, h.b.Limits().MaxPacket)
	filled := 0
	for {
		n, err := p.nc.Read(buf[filled:])
		if n > 0 {
			filled = h.receive(p, buf, filled+n)
		}
		if err != nil {
			return
		}
	}
}

// receive offers the broker what was read, and again as long as it has no room
// for it. It returns how much is left: the beginning of a packet.
func (h *Host) receive(p *peer, buf []byte, filled int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if p.gone {
			return 0
		}
		h.b.Step(time.Since(h.start))
		n := h.b.Receive(p.slot, buf[:filled])
		filled = copy(buf, buf[n:filled])
		h.settleLocked()
		switch {
		case n > 0: // there may be more, now that the queues have been emptied
		case p.gone || !h.b.Held(p.slot):
			return filled
		}
		for n == 0 && !p.gone && h.b.Held(p.slot) {
			h.moved.Wait()
		}
	}
}

// write sends what the broker has for one peer, and closes when it is done.
func (h *Host) write(p *peer) {
	out := h.buffer()
	for range p.wake {
		var over bool
		out, over = h.swap(p, out)
		h.Do(func(*tiny.Broker) {}) // there is room in the other buffer now
		if len(out) > 0 {
			p.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := p.nc.Write(out); err != nil {
				p.nc.Close()
				return
			}
		}
		if over {
			hangUp(p.nc)
			return
		}
	}
}

func (h *Host) buffer() []byte { return make([]byte, 0, 4*h.b.Limits().MaxOutgoing()) }

// swap exchanges an empty buffer for what is to be written.
func (h *Host) swap(p *peer, empty []byte) (out []byte, over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out, p.out = p.out, empty[:0]
	return out, p.over
}

// hangUp closes so that the peer still gets to read the last words: a socket
// closed over unread data resets the connection.
func hangUp(nc transport.Conn) {
	if nc.CloseWrite() != nil {
		nc.Close()
		return
	}
	nc.SetReadDeadline(time.Now().Add(linger)) // the reader swallows until then
}
