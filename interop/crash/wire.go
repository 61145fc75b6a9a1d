package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A wire is one connection to the broker: packets as they are, and no promise
// kept behind anybody's back.
type wire struct {
	nc net.Conn
	v  mqtt.Version
	br *bufio.Reader

	ended chan struct{} // closed when nobody listens any more; nil: nobody did
}

// patience is how long the broker may take for anything before the connection
// is given up.
const patience = 10 * time.Second

// errRefused is a CONNACK that says no; errClosing one of a broker that is
// being stopped.
var (
	errRefused = errors.New("refused")
	errClosing = errors.New("closing")
)

// connect dials and waits for CONNACK.
func connect(ctx context.Context, addr string, c *packet.Connect) (w *wire, present bool, err error) {
	d := net.Dialer{Timeout: patience}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, false, err
	}
	w = &wire{nc: nc, v: c.Version, br: bufio.NewReaderSize(nc, 16<<10)}
	nc.SetDeadline(time.Now().Add(patience))
	if err = w.send(c.Append(nil)); err == nil {
		present, err = w.welcome()
	}
	if err != nil {
		nc.Close()
		return nil, false, err
	}
	nc.SetDeadline(time.Time{})
	return w, present, nil
}

func (w *wire) welcome() (present bool, err error) {
	h, body, err := w.next()
	if err != nil {
		return false, err
	}
	var k packet.Connack
	if h.Type != packet.CONNACK {
		return false, fmt.Errorf("%w: %v in place of CONNACK", errRefused, h.Type)
	}
	if err := k.Decode(w.v, body); err != nil {
		return false, err
	}
	if k.Code == mqtt.ServerUnavailable || k.Return == mqtt.RefusedUnavailable {
		return false, errClosing
	}
	if k.Code.Failed() || k.Return != mqtt.Accepted {
		return false, fmt.Errorf("%w: %v %v", errRefused, k.Code, k.Return)
	}
	return k.SessionPresent, nil
}

// send writes; a broker that takes nothing for long is given up.
func (w *wire) send(b []byte) error {
	w.nc.SetWriteDeadline(time.Now().Add(patience))
	_, err := w.nc.Write(b)
	return err
}

// next reads one packet. The body is the caller's.
func (w *wire) next() (h packet.Header, body []byte, err error) {
	for size := 2; ; size++ {
		b, err := w.br.Peek(size)
		if err != nil {
			return h, nil, err
		}
		if h, err = packet.ReadHeader(b); err == nil {
			break
		}
		if !errors.Is(err, packet.ErrShort) {
			return h, nil, err
		}
	}
	w.br.Discard(h.Size)
	body = make([]byte, h.Len)
	_, err = io.ReadFull(w.br, body)
	return h, body, err
}

func (w *wire) ack(t packet.Type, id mqtt.PacketID) error {
	a := packet.Ack{Type: t, ID: id}
	return w.send(a.Append(nil, w.v))
}

// listen hands every packet to take, until the connection ends or take fails.
func (w *wire) listen(take func(packet.Header, []byte) error) (ended <-chan struct{}) {
	w.ended = make(chan struct{})
	go func() {
		defer close(w.ended)
		for {
			h, body, err := w.next()
			if err != nil || take(h, body) != nil {
				return
			}
		}
	}()
	return w.ended
}

// end closes the connection and waits until nobody listens. nil is none.
func (w *wire) end() {
	if w == nil {
		return
	}
	w.close()
	if w.ended != nil {
		<-w.ended
	}
}

// close ends the connection without a word.
func (w *wire) close() { w.nc.Close() }

// hello is a CONNECT of a session that is kept for expiry seconds, where the
// version can say so.
func hello(v mqtt.Version, id string, expiry uint32) *packet.Connect {
	c := &packet.Connect{Version: v, ClientID: []byte(id), CleanStart: expiry == 0 && v != mqtt.V5}
	if v == mqtt.V5 {
		c.Properties = &packet.Properties{SessionExpiryInterval: expiry}
	}
	return c
}
