package tiny

import (
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// How a message lies in the slab, or in flash: flags, topic length, section
// length, the session it came from, the moment it expires if it does, topic,
// section, payload.
const (
	flagQoS     = 3
	flagRetain  = 1 << 2
	flagExpires = 1 << 3
	flagParked  = 1 << 4

	fixedPart  = 6
	expiryPart = 8
	originAt   = 5
)

// A view is a message in the slab, taken apart. It is good until the next
// alloc.
type view struct {
	qos     mqtt.QoS
	retain  bool
	expires bool
	end     time.Duration // when it is worthless
	topic   []byte
	section []byte
	payload []byte
}

// store puts a message of a session into the slab; 0 is no room. Its Message Expiry
// Interval counts from since. Behind it there is room for a parkedPart, or
// nothing.
func (b *Broker) store(p *packet.Publish, from uint8, since time.Duration, behind int) handle {
	section := packet.ForwardSize(p.Properties)
	flags, n := byte(p.QoS), fixedPart+len(p.Topic)+section+len(p.Payload)+behind
	expires := p.Properties.Has(packet.PropMessageExpiryInterval)
	if expires {
		flags |= flagExpires
		n += expiryPart
	}
	if p.Retain {
		flags |= flagRetain
	}
	if behind > 0 {
		flags |= flagParked
	}
	h, o := b.slab.alloc(n)
	if h == 0 {
		return 0
	}
	o[0] = flags
	put16(o[1:], uint16(len(p.Topic)))
	put16(o[3:], uint16(section))
	o[originAt] = from
	at := fixedPart
	if expires {
		putEnd(o, since+time.Duration(p.Properties.MessageExpiryInterval)*time.Second)
		at += expiryPart
	}
	at += copy(o[at:], p.Topic)
	if section > 0 {
		at += len(packet.AppendForward(o[at:at:at+section], p.Properties))
	}
	copy(o[at:], p.Payload)
	return h
}

// putEnd says when a message that expires is worthless.
func putEnd(o []byte, end time.Duration) {
	for i := range expiryPart {
		o[fixedPart+i] = byte(end >> (8 * i))
	}
}

func endOf(o []byte) (end time.Duration) {
	for i, c := range o[fixedPart : fixedPart+expiryPart] {
		end |= time.Duration(c) << (8 * i)
	}
	return end
}

// view takes a message apart.
func (b *Broker) view(h handle) view { return viewOf(b.slab.bytes(h)) }

func viewOf(o []byte) (v view) {
	v.qos, v.retain = mqtt.QoS(o[0]&flagQoS), o[0]&flagRetain != 0
	topic, section := int(get16(o[1:])), int(get16(o[3:]))
	rest := o[fixedPart:]
	if o[0]&flagExpires != 0 {
		v.expires = true
		v.end = endOf(o)
		rest = rest[expiryPart:]
	}
	v.topic, rest = rest[:topic:topic], rest[topic:]
	v.section, v.payload = rest[:section:section], rest[section:len(rest)-behind(o)]
	return v
}

// load makes a message in the slab a PUBLISH, and returns when it is worthless.
func (b *Broker) load(h handle, f *packet.Forward) (end time.Duration) {
	o := b.slab.bytes(h)
	topic, section := int(get16(o[1:])), int(get16(o[3:]))
	at := fixedPart
	if o[0]&flagExpires != 0 {
		f.Expires = true
		end = endOf(o)
		at += expiryPart
	}
	f.Topic = o[at : at+topic]
	f.Section = o[at+topic : at+topic+section]
	f.Payload = o[at+topic+section : len(o)-behind(o)]
	return end
}

// behind is what stands behind a message's payload, in bytes.
func behind(o []byte) int {
	if o[0]&flagParked != 0 {
		return parkedPart
	}
	return 0
}

// left is what remains of a Message Expiry Interval, in seconds; false is
// nothing [MQTT-3.3.2-5] [MQTT-3.3.2-6, 5.0].
func (v *view) left(now time.Duration) (uint32, bool) {
	if !v.expires {
		return 0, true
	}
	return left(v.end, now)
}

func left(end, now time.Duration) (uint32, bool) {
	if now >= end {
		return 0, false
	}
	return uint32((end - now + time.Second - 1) / time.Second), true
}

// sayWill publishes a session's will. Its age counts from now: until here its
// end was a mere interval. There is nobody to hold back: a subscriber without
// room misses it, and that is counted.
func (b *Broker) sayWill(s *session) {
	h := s.will
	if h == 0 {
		return
	}
	s.will = 0
	v := b.view(h)
	if !b.allowed(s, &v) {
		b.slab.drop(h)
		return
	}
	if v.expires {
		putEnd(b.slab.bytes(h), b.now+v.end)
	}
	b.match(v.topic, s.at)
	if v.retain {
		b.retain(h)
	}
	b.route(h, v.qos, v.retain)
}
