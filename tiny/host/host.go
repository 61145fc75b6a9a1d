// Package host runs a fixed-memory broker on an operating system: on a router,
// or to try what a microcontroller will do. The broker's memory stays what its
// Limits say; a connection costs two goroutines and two buffers besides.
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
	gone bool          // guarded by Host.mu
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
	for _, p := range h.peers {
		if p != nil && h.b.Pending(p.slot) {
			select {
			case p.wake <- struct{}{}:
			default:
			}
		}
	}
	h.moved.Broadcast()
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
	h.Do(func(b *tiny.Broker) { b.Shutdown() })
	h.work.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.timer.Stop()
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
	p := &peer{nc: nc, wake: make(chan struct{}, 1)}
	ok := false
	h.Do(func(b *tiny.Broker) {
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
		if !h.b.Held(p.slot) || filled == 0 {
			return filled
		}
		h.moved.Wait()
	}
}

// write sends what the broker has for one peer, and closes when it is done.
func (h *Host) write(p *peer) {
	out := make([]byte, 4*h.b.Limits().MaxOutgoing())
	for range p.wake {
		for {
			n, over := h.outgoing(p, out)
			if n > 0 {
				p.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
				if _, err := p.nc.Write(out[:n]); err != nil {
					p.nc.Close()
					return
				}
				continue
			}
			if over {
				hangUp(p.nc)
				return
			}
			break
		}
	}
}

func (h *Host) outgoing(p *peer, out []byte) (n int, over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.gone {
		return 0, true
	}
	if n = h.b.Outgoing(p.slot, out); n > 0 {
		h.settleLocked()
	}
	if n == 0 && h.b.Over(p.slot) {
		h.freeLocked(p)
		return 0, true
	}
	return n, false
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
