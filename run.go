package midge

import (
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

// A run is messages of one QoS to one topic that came one behind the other.
// They stand in the read buffer as most subscribers want them, and are handed
// to each as one.
type run struct {
	plan    *plan
	raw     []byte // the frames as they came
	v5      bool   // they are those of 5.0
	qos     mqtt.QoS
	n       int
	largest int // bytes of the largest frame

	// The same for those who speak the other kind of MQTT; empty until wanted.
	other        []byte
	otherLargest int

	// At QoS 1 and 2, see ackrun.go.
	packed *message  // see pack
	rest   []*target // who has to be given each by itself
}

// directAt is how many bytes are worth a system call of their own: such a run
// is not copied.
const directAt = 8 << 10

// runOn makes p part of the run, or the first of a new one. False is a message
// that has to go alone.
func (c *conn) runOn(sc *scratch, p *packet.Publish) bool {
	props := p.Properties
	if sc.tooFast || sc.raw == nil || p.Retain || c.b.set.Hooks.Publish != nil ||
		props.Present != 0 && (props.Has(packet.PropTopicAlias) || props.PayloadFormatIndicator == 1) {
		return false
	}
	if p.QoS > mqtt.AtMostOnce && (c.b.keep != nil || props.Present != 0 || c.b.shortage() >= short) {
		return false
	}
	if p.QoS == mqtt.AtMostOnce && p.Dup { // 3.1 has that, others must not [MQTT-3.3.1-2]
		return false
	}
	r := &sc.run
	if r.n > 0 && r.qos == p.QoS && r.mayGrow(len(sc.raw)) && r.plan.version == c.b.index.Version() && string(r.plan.topic) == string(p.Topic) {
		r.raw = r.raw[:len(r.raw)+len(sc.raw)]
		r.n++
		r.largest = max(r.largest, len(sc.raw))
		return true
	}
	c.endRun(sc)
	if p.Topic[0] == '$' || c.b.bounds.Load().outsized(p.Topic) != nil {
		return false
	}
	r.plan = sc.routes.plan(c.b, p.Topic)
	if !r.plan.plain || r.plan.denies(c) || p.QoS > mqtt.AtMostOnce && len(r.plan.targets) == 0 {
		return false
	}
	r.raw, r.n, r.largest, r.v5, r.qos = sc.raw, 1, len(sc.raw), c.version == mqtt.V5, p.QoS
	return true
}

// mayGrow reports whether size bytes more may be added.
func (r *run) mayGrow(size int) bool {
	return r.qos == mqtt.AtMostOnce || r.n < ackedMost && len(r.raw)+size <= ackedBytes
}

// runAhead makes the packets at the front of b that repeat the one at hand, the
// last of the run, part of it, and returns how many bytes they have.
func (c *conn) runAhead(sc *scratch, b []byte) int {
	r, size := &sc.run, len(sc.raw)
	if r.qos > mqtt.AtMostOnce {
		b = b[:min(len(b), size*max(0, min(ackedMost-r.n, (ackedBytes-len(r.raw))/size)))]
	}
	b = b[:c.in.Repeats(sc.raw, &sc.packets.Publish, b)]
	if r.qos > mqtt.AtMostOnce {
		b = b[:c.claimAll(sc, b)]
	}
	n := len(b) / size
	sc.heard.packets += uint64(n)
	sc.heard.messages += uint64(n)
	r.raw = r.raw[:len(r.raw)+len(b)]
	r.n += n
	return len(b)
}

// endRun hands the run over, if there is one. It comes before anything else the
// connection does: messages keep their order.
func (c *conn) endRun(sc *scratch) {
	r := &sc.run
	switch {
	case r.n == 0:
		return
	case r.qos > mqtt.AtMostOnce:
		c.endAcked(sc)
		return
	}
	for i := range r.plan.targets {
		d := r.plan.targets[i].s.conn.Load()
		if d == nil || d.deliverRun(sc, c) {
			continue
		}
		for rest := r.raw; len(rest) > 0; {
			rest = c.takeOf(sc, rest)
			d.deliverNow(sc, &sc.batch, &delivery{})
		}
	}
	r.plan, r.raw, r.n, r.other = nil, nil, 0, r.other[:0]
}

// takeOf makes the first message of raw the one at hand, and returns the others.
func (c *conn) takeOf(sc *scratch, raw []byte) (rest []byte) {
	h, _ := packet.ReadHeader(raw)
	n := h.Size + h.Len
	sc.one.Properties = &sc.oneProps
	sc.one.Decode(c.version, h.Flags, raw[h.Size:n]) // as it was decoded before
	c.take(sc, &sc.one)
	return raw[n:]
}

// forVersion is the run for a subscriber who speaks v.
func (r *run) forVersion(sc *scratch, by *conn, v mqtt.Version) (frames []byte, largest int) {
	if (v == mqtt.V5) == r.v5 {
		return r.raw, r.largest
	}
	if len(r.other) == 0 {
		r.otherLargest = 0
		for rest := r.raw; len(rest) > 0; {
			rest = by.takeOf(sc, rest)
			frame, _ := sc.frame(v, mqtt.AtMostOnce)
			r.other = append(r.other, frame...)
			r.otherLargest = max(r.otherLargest, len(frame))
		}
	}
	return r.other, r.otherLargest
}

// deliverRun takes the run of by for c. False is a client that has to be given
// each message by itself: there may be no room for all, or it has topic aliases.
func (c *conn) deliverRun(sc *scratch, by *conn) bool {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage != flowing {
		return true
	}
	r := &sc.run
	frames, largest := r.forVersion(sc, by, o.w.Version())
	if o.w.Aliasing() || !o.w.Fits(largest) || !c.roomLocked(r.n, len(frames)) {
		return false
	}
	o.sent.messages += uint32(r.n)
	o.sent.packets += uint32(r.n)
	if len(frames) >= directAt && c.sock() != nil && len(o.out) == 0 && !o.writing && c.b.watches.Load() == nil {
		frames = c.writeAsideLocked(frames)
		if len(o.out) > 0 {
			c.markLocked(&sc.batch)
		}
		if len(frames) == 0 {
			return true
		}
	}
	o.out = append(c.roomFor(len(frames)), frames...)
	o.messages += int32(r.n)
	c.markLocked(&sc.batch)
	return true
}

// writeAsideLocked writes b, which stays the caller's, if the socket takes it,
// and returns what it did not take.
func (c *conn) writeAsideLocked(b []byte) []byte {
	c.writing, c.leaving = true, len(b)
	c.mu.Unlock()
	n, err := c.sock().TryWrite(b)
	if err != nil && err != transport.ErrAgain {
		c.writeFailed(err)
	}
	c.mu.Lock()
	c.writing, c.leaving = false, 0
	c.passedLocked(&c.sent, n)
	c.movedLocked()
	if !c.writableLocked() {
		return nil
	}
	if rest := len(b) - n; rest > 0 && len(c.out) > 0 { // what came meanwhile goes behind
		c.out = append(append(make([]byte, 0, rest+len(c.out)), b[n:]...), c.out...)
		return nil
	}
	return b[n:]
}
