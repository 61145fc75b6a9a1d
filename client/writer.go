package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

const (
	outMax   = 256 << 10 // bytes that wait to be written before publishers wait
	keepSize = 512 << 10 // larger buffers are not kept once written
)

// ackLocked appends an acknowledgement, unless the last word has been said
// [MQTT-3.14.4-1, 5.0].
func (c *Conn) ackLocked(t packet.Type, id mqtt.PacketID, code mqtt.ReasonCode) {
	if !c.ending {
		c.out = c.w.Ack(c.out, t, id, code)
	}
}

// wakeWriter makes the writer look at out. It never blocks.
func (c *Conn) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// allowsLocked holds a message against what the server announced. An own
// fault, found before anything is sent.
// [MQTT-3.2.2-11, 5.0] [MQTT-3.2.2-14, 5.0] [MQTT-3.2.2-15, 5.0]
func (c *Conn) allowsLocked(f *packet.Forward) error {
	switch l := &c.info.Limits; {
	case f.QoS > l.MaxQoS:
		return fmt.Errorf("%w: QoS %d", ErrUnsupported, f.QoS)
	case f.Retain && !l.RetainAvailable:
		return fmt.Errorf("%w: retained messages", ErrUnsupported)
	case !c.w.Fits(f.Size(c.version)):
		return ErrTooLarge
	}
	return nil
}

// appendPublishLocked writes a PUBLISH, under a topic alias where the server
// offers one [MQTT-3.3.2-9, 5.0].
func (c *Conn) appendPublishLocked(f *packet.Forward) {
	name := f.Topic
	alias, known := c.w.Alias(name)
	switch {
	case known:
		f.Alias, f.Topic = alias, nil
	case alias > 0:
		f.Alias = alias
		if !c.w.Fits(f.Size(c.version)) {
			f.Alias = 0 // its definition is what makes the packet too large
		}
	}
	c.out = f.Append(c.out, c.version)
	if f.Alias > 0 && !known {
		c.w.Define(alias, name)
	}
	c.s.count.sent.Add(1)
}

// resendLocked sends what an earlier connection left open
// [MQTT-4.4.0-1, 5.0] [MQTT-4.4.0-1, 3.1.1]; what this one does not take has
// failed.
func (c *Conn) resendLocked(slot *slot, now int64) {
	p, id := slot.Value.p, slot.ID
	if p == nil { // the message is the server's: PUBREL
		c.ackLocked(packet.PUBREL, id, mqtt.Success)
		return
	}
	f := p.record.forward(now)
	f.Dup, f.ID = true, id // [MQTT-3.3.1-1]
	if err := c.allowsLocked(&f); err != nil {
		if f.QoS == mqtt.AtLeastOnce {
			c.s.sending.Puback(id)
		} else {
			c.s.sending.Pubrec(id, mqtt.UnspecifiedError)
		}
		c.s.finishLocked(p, Result{}, err)
		return
	}
	c.appendPublishLocked(&f)
}

// writeLoop writes what waits, and says when the connection has been silent
// for too long. It alone writes to the socket.
func (c *Conn) writeLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		buf, due, last := c.take()
		if len(buf) > 0 {
			if err := c.write(buf); err != nil {
				c.writeFailed(err)
				return
			}
			c.wrote(buf)
			continue
		}
		if last {
			return
		}
		timer.Reset(due)
		select {
		case <-c.wake:
		case <-timer.C:
		}
	}
}

// write writes buf for as long as the server takes any of it within
// WriteTimeout, however slowly.
func (c *Conn) write(buf []byte) error {
	for {
		n, err := c.nc.Write(buf)
		var timeout interface{ Timeout() bool }
		if n == 0 || !errors.As(err, &timeout) || !timeout.Timeout() || !c.goesOn() {
			return err
		}
		buf = buf[n:]
	}
}

// goesOn gives a write that has run out of time, but not stalled, more of it:
// half, since when the server took its last byte is not known.
func (c *Conn) goesOn() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.ending {
		return false
	}
	c.nc.SetWriteDeadline(time.Now().Add(c.set.WriteTimeout / 2))
	return true
}

// take returns what is to be written now; with nothing, how long until
// there may be, or that nothing ever will.
func (c *Conn) take() (buf []byte, due time.Duration, last bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if !c.ending {
		c.checkLocked()
	}
	buf = c.out
	c.out, c.spare = c.spare[:0], nil
	now := time.Since(c.epoch)
	if len(buf) > 0 {
		if !c.ending { // or stopLocked has set a shorter one
			c.nc.SetWriteDeadline(time.Now().Add(c.set.WriteTimeout))
		}
		c.timer.Said(now)
		return buf, 0, c.ending
	}
	c.spare = buf
	at, ok := c.timer.Next()
	if !ok {
		at = now + time.Hour
	}
	return nil, at - now, c.ending
}

// checkLocked asks the timer. A reader that waits for handlers hears nothing,
// which is not the server's fault.
func (c *Conn) checkLocked() {
	now := time.Since(c.epoch)
	switch c.timer.Check(now) {
	case link.Ping:
		c.out = c.w.Pingreq(c.out)
		c.timer.Pinged(now)
	case link.Quiet:
		if c.stalled.Load() {
			c.timer.Heard(now)
			return
		}
		c.endLocked(errNoPingresp, mqtt.Success)
	}
}

// wrote gives the buffer back and refills it from the queue.
func (c *Conn) wrote(buf []byte) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if cap(buf) <= keepSize && c.spare == nil {
		c.spare = buf[:0]
	}
	c.s.changedLocked()
	if c.s.conn == c && !c.ending {
		c.s.pumpLocked()
		c.s.sendRequestsLocked()
	}
}

// writeFailed ends the connection, but lets the reader finish: the server may
// have said why.
func (c *Conn) writeFailed(err error) {
	c.nc.SetReadDeadline(time.Now().Add(linger))
	select {
	case <-c.read:
	case <-time.After(linger):
	}
	c.end(fmt.Errorf("client: write: %w", err))
}
