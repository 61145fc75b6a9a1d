package tiny

import "github.com/midgemq/midge/mqtt"

// A retained is one retained message.
type retained struct {
	since uint32 // sequence when it came
	used  uint32 // sequence when it was last set or asked for
	msg   handle // 0: this place is free
	mark  uint16 // fingerprint of its topic
	dirty bool   // flash does not know it yet
	gone  bool   // deleted, but flash does not know that yet
}

// retain makes a message the one its topic is known for, or with no payload
// makes the topic known for none [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7, 5.0]
// [MQTT-3.3.1-10] [MQTT-3.3.1-11, 3.1.1].
func (b *Broker) retain(h handle) {
	if b.limits.Retained < 0 {
		return
	}
	v := b.view(h)
	r := b.findRetained(v.topic)
	if len(v.payload) == 0 {
		if r != nil {
			b.unretain(r)
		}
		return
	}
	size := footprint(len(b.slab.bytes(h)))
	if size > b.limits.RetainedBytes {
		if r != nil {
			b.unretain(r) // better none than a stale one
		}
		b.stats.Evicted++
		return
	}
	same, dirty := false, false
	if r != nil {
		dirty, r.dirty = r.dirty, false // it stays so, and counted
		same = !dirty && mqtt.Same(b.slab.bytes(r.msg), b.slab.bytes(h))
		b.release(r)
	}
	for r == nil || b.kept+size > b.limits.RetainedBytes {
		if r == nil {
			if r = b.freeRetained(); r != nil {
				continue
			}
		}
		b.evict(r)
	}
	b.slab.hold(h)
	b.kept += size
	now := b.tick()
	*r = retained{since: now, used: now, msg: h, mark: fingerprint(v.topic), dirty: dirty}
	if !same {
		b.changed(r)
	}
}

// tick counts one event. Long before the count runs over, those that still
// matter are numbered anew, in their order.
func (b *Broker) tick() uint32 {
	if b.sequence++; b.sequence > maxSequence {
		b.renumber()
	}
	return b.sequence
}

func (b *Broker) renumber() {
	for i := range b.subs[:b.nsubs] {
		sub, n := &b.subs[i], uint32(0)
		for j := range b.retained {
			if r := &b.retained[j]; r.msg != 0 && r.since <= sub.since {
				n++
			}
		}
		sub.since = n
	}
	b.rank(func(r *retained) *uint32 { return &r.since })
	b.rank(func(r *retained) *uint32 { return &r.used })
	b.sequence = uint32(len(b.retained)) + 1
}

// rank replaces a number of the retained messages by its place among them, from
// 1; a place is never larger than the number it replaces.
func (b *Broker) rank(of func(*retained) *uint32) {
	for place, done := uint32(1), uint32(0); ; place++ {
		var next *uint32
		for i := range b.retained {
			if r := &b.retained[i]; r.msg != 0 && *of(r) > done && (next == nil || *of(r) < *next) {
				next = of(r)
			}
		}
		if next == nil {
			return
		}
		done, *next = *next, place
	}
}

const maxSequence = 1 << 31

func (b *Broker) findRetained(name []byte) *retained {
	mark := fingerprint(name)
	for i := range b.retained {
		r := &b.retained[i]
		if r.msg != 0 && r.mark == mark {
			if v := b.view(r.msg); mqtt.Same(v.topic, name) {
				return r
			}
		}
	}
	return nil
}

func (b *Broker) freeRetained() *retained {
	for i := range b.retained {
		if b.retained[i].msg == 0 {
			return &b.retained[i]
		}
	}
	return nil
}

// evict pushes out what was used longest ago, other than spared. What is only
// waiting for flash goes first.
func (b *Broker) evict(spared *retained) {
	var oldest *retained
	for i := range b.retained {
		r := &b.retained[i]
		if r.msg == 0 || r == spared {
			continue
		}
		if oldest == nil || r.gone && !oldest.gone || r.gone == oldest.gone && r.used < oldest.used {
			oldest = r
		}
	}
	if oldest == nil {
		return
	}
	if !oldest.gone {
		b.stats.Evicted++
	}
	b.release(oldest)
	b.outdated()
}

// unretain deletes a retained message.
func (b *Broker) unretain(r *retained) {
	if b.flash == nil {
		b.release(r)
		return
	}
	r.gone = true
	b.changed(r)
}

// release frees a retained message's place.
func (b *Broker) release(r *retained) {
	if r.msg == 0 {
		return
	}
	if r.dirty {
		b.keeper.dirty--
	}
	b.kept -= footprint(len(b.slab.bytes(r.msg)))
	b.slab.drop(r.msg)
	*r = retained{}
	b.freed++
}

// nextOwed finds the next retained message a session is owed: by which
// subscription, and which. It moves on past what does not match, or has come
// live since.
func (b *Broker) nextOwed(s *session) (*subscription, *retained) {
	for i := range b.subs[:b.nsubs] {
		sub := &b.subs[i]
		if sub.session != s.at || sub.cursor == done {
			continue
		}
		for ; int(sub.cursor) < len(b.retained); sub.cursor++ {
			r := &b.retained[sub.cursor]
			if r.msg == 0 || r.gone || r.since > sub.since {
				continue
			}
			v := b.view(r.msg)
			if _, fresh := v.left(b.now); !fresh {
				b.unretain(r)
			} else if b.matches(sub, v.topic) {
				return sub, r
			}
		}
		sub.cursor = done
		s.owed--
	}
	return nil, nil
}

// replay hands the program the retained messages a new subscription of its
// own matches.
func (b *Broker) replay(sub *subscription) {
	for i := range b.retained {
		r := &b.retained[i]
		if r.msg == 0 || r.gone {
			continue
		}
		v := b.view(r.msg)
		if _, fresh := v.left(b.now); fresh && b.matches(sub, v.topic) {
			b.deliver(r.msg)
		}
	}
}

// qosOf is the QoS a retained message goes out with.
func qosOf(sub *subscription, v *view) mqtt.QoS { return min(mqtt.QoS(sub.options&3), v.qos) }
