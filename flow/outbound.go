package flow

import "github.com/midgemq/midge/mqtt"

// A Stage is how far an exchange this end began has come.
type Stage uint8

const (
	done         Stage = iota // finished; the slot waits for its turn to be reused
	AwaitPuback               // QoS 1 PUBLISH sent
	AwaitPubrec               // QoS 2 PUBLISH sent
	AwaitPubcomp              // PUBREL sent
	AwaitAnswer               // SUBSCRIBE or UNSUBSCRIBE sent
)

// A Slot is one exchange in the window.
type Slot[T any] struct {
	Value T
	ID    mqtt.PacketID
	Stage Stage

	again  bool   // begun on an earlier connection, not sent again on this one yet
	counts bool   // its PUBLISH went out on this connection and holds send quota
	issued uint32 // how many identifiers had been issued up to this one
}

// Outbound is the window of exchanges this end began: messages sent and not
// yet acknowledged, in sending order, and the identifiers they hold.
// The zero value is unusable; call Init.
type Outbound[T any] struct {
	ring  []Slot[T] // in sending order from head; done slots keep their place
	head  uint16
	n     uint16 // slots in use or done behind head
	limit uint16 // len(ring) never grows past it

	last   mqtt.PacketID
	issued uint32
	live   uint16 // slots not done
	quota  uint16 // PUBLISH packets the peer takes now [MQTT-4.9.0-1, 5.0]
	resend uint16 // slots with again set
}

// Init sets how many exchanges may be open at once, [1, 65535]. A storage of
// that length, whose contents are lost, means nothing is ever allocated; nil
// grows on demand.
func (o *Outbound[T]) Init(limit int, storage []Slot[T]) {
	clear(storage)
	*o = Outbound[T]{ring: storage, limit: uint16(limit)}
}

// Resume begins a connection whose peer announced receiveMaximum. Every open
// message is to be sent again, in order, through Resend; open SUBSCRIBE and
// UNSUBSCRIBE exchanges died with the old connection.
func (o *Outbound[T]) Resume(receiveMaximum uint16) {
	o.quota = receiveMaximum
	o.resend = 0
	for i := range o.n {
		s := o.at(i)
		s.counts = false
		switch s.Stage {
		case done:
		case AwaitAnswer:
			o.finish(s)
		default:
			s.again = true
			o.resend++
		}
	}
	o.trim()
}

// Reset forgets every exchange, as when the session ends.
func (o *Outbound[T]) Reset() {
	clear(o.ring)
	o.head, o.n, o.live, o.resend = 0, 0, 0, 0
}

// Ready reports whether a new message may be sent now: there is quota, there
// is room, and nothing older waits to be sent again.
func (o *Outbound[T]) Ready() bool {
	return o.quota > 0 && o.live < o.limit && o.resend == 0
}

// Room returns how many new messages may be sent now: Ready is one or more.
func (o *Outbound[T]) Room() int {
	if o.resend > 0 {
		return 0
	}
	return int(min(o.quota, o.limit-o.live))
}

// Pending reports whether Resend still has work, now or once quota allows.
func (o *Outbound[T]) Pending() bool { return o.resend > 0 }

// Len returns the number of open exchanges.
func (o *Outbound[T]) Len() int { return int(o.live) }

// Publish opens an exchange for a new QoS 1 or 2 message and returns its
// identifier. The caller has asked Ready.
func (o *Outbound[T]) Publish(q mqtt.QoS, v T) mqtt.PacketID {
	s := o.Open(q)
	s.Value = v
	return s.ID
}

// Open is Publish for a caller who gives the slot its Value, which is zero,
// before the window is asked anything else.
func (o *Outbound[T]) Open(q mqtt.QoS) *Slot[T] {
	s := o.push()
	s.counts = true
	s.Stage = AwaitPuback
	if q == mqtt.ExactlyOnce {
		s.Stage = AwaitPubrec
	}
	// [MQTT-4.9.0-2, 5.0] each PUBLISH takes one unit of quota.
	o.quota--
	return s
}

// Request opens an exchange for SUBSCRIBE or UNSUBSCRIBE, which share the
// identifiers of PUBLISH but need no quota. It reports false when full.
func (o *Outbound[T]) Request(v T) (mqtt.PacketID, bool) {
	if o.live >= o.limit {
		return 0, false
	}
	s := o.push()
	s.Value, s.Stage = v, AwaitAnswer
	return s.ID, true
}

// Restore puts back an exchange a store remembered, in sending order, before
// the first Resume. It reports false when full.
func (o *Outbound[T]) Restore(id mqtt.PacketID, st Stage, v T) bool {
	if o.live >= o.limit {
		return false
	}
	o.issued += uint32(distance(o.last, id-1))
	o.last = id - 1
	s := o.push()
	s.Stage, s.Value = st, v
	return true
}

// Resend returns the next exchange to send again on this connection, or nil
// when there is none or no quota for it: a PUBLISH with DUP set, or, at
// AwaitPubcomp, a PUBREL. The slot stays in the window.
//
// [MQTT-4.4.0-1] only a new connection makes this end send again.
// [MQTT-4.6.0-1] in the original order.
func (o *Outbound[T]) Resend() *Slot[T] {
	if o.resend == 0 {
		return nil
	}
	for i := range o.n {
		s := o.at(i)
		if !s.again {
			continue
		}
		if s.Stage != AwaitPubcomp {
			if o.quota == 0 {
				return nil
			}
			o.quota--
			s.counts = true
		}
		s.again = false
		o.resend--
		return s
	}
	return nil
}

// Puback ends a QoS 1 exchange and returns its message. It reports false for
// an identifier that awaits no PUBACK.
func (o *Outbound[T]) Puback(id mqtt.PacketID) (v T, ok bool) {
	return o.take(id, AwaitPuback)
}

// Awaits returns the exchange with this identifier if it is at stage st, or nil.
func (o *Outbound[T]) Awaits(id mqtt.PacketID, st Stage) *Slot[T] {
	if s := o.find(id); s != nil && s.Stage == st {
		return s
	}
	return nil
}

// End ends the exchange in a slot that Awaits returned.
func (o *Outbound[T]) End(s *Slot[T]) {
	o.finish(s)
	o.trim()
}

// Pubcomp ends a QoS 2 exchange. It reports false for an identifier that
// awaits no PUBCOMP.
func (o *Outbound[T]) Pubcomp(id mqtt.PacketID) (v T, ok bool) {
	return o.take(id, AwaitPubcomp)
}

// Answer ends a SUBSCRIBE or UNSUBSCRIBE exchange.
func (o *Outbound[T]) Answer(id mqtt.PacketID) (v T, ok bool) {
	return o.take(id, AwaitAnswer)
}

// Pubrec takes a PUBREC. With a failure code the exchange is over
// [MQTT-4.4.0-2, 5.0]; otherwise a PUBREL is due [MQTT-4.3.3-4, 5.0] and the
// message itself is never sent again [MQTT-4.3.3-6, 5.0], so Value is cleared.
// It returns the message, and false for an identifier not in a QoS 2 exchange.
func (o *Outbound[T]) Pubrec(id mqtt.PacketID, code mqtt.ReasonCode) (v T, ok bool) {
	s := o.find(id)
	if s == nil || (s.Stage != AwaitPubrec && s.Stage != AwaitPubcomp) {
		return v, false
	}
	v = s.Value
	if code.Failed() {
		o.finish(s)
		o.trim()
		return v, true
	}
	var none T
	s.Value = none
	s.Stage = AwaitPubcomp
	if s.again {
		s.again = false
		o.resend--
	}
	return v, true
}

// Take ends the oldest open exchange, whatever its stage, and returns its
// message; false is none left.
func (o *Outbound[T]) Take() (v T, ok bool) {
	for i := range o.n {
		if s := o.at(i); s.Stage != done {
			v = s.Value
			o.finish(s)
			o.trim()
			return v, true
		}
	}
	return v, false
}

// All calls yield for every open exchange in sending order until it returns
// false. The window must not change meanwhile.
func (o *Outbound[T]) All(yield func(*Slot[T]) bool) {
	for i := range o.n {
		if s := o.at(i); s.Stage != done && !yield(s) {
			return
		}
	}
}

func (o *Outbound[T]) at(i uint16) *Slot[T] {
	k := int(o.head) + int(i)
	if k >= len(o.ring) {
		k -= len(o.ring)
	}
	return &o.ring[k]
}

// find looks where the identifier stands if none behind head was given back
// out of turn, and from there towards head.
func (o *Outbound[T]) find(id mqtt.PacketID) *Slot[T] {
	if o.n == 0 {
		return nil
	}
	head := o.at(0) // never done: trim
	if head.ID == id {
		return head // as most are acknowledged, in order
	}
	i := int(o.n) - 1
	if !o.lapped(head) {
		i = min(i, distance(head.ID, id))
	}
	for ; i >= 0; i-- {
		if s := o.at(uint16(i)); s.ID == id && s.Stage != done {
			return s
		}
	}
	return nil
}

// lapped reports whether identifiers have gone once round since s got its own.
func (o *Outbound[T]) lapped(s *Slot[T]) bool { return o.issued-s.issued >= mqtt.MaxPacketID }

// distance counts the steps from one identifier to another, 0 left out.
func distance(from, to mqtt.PacketID) int {
	return (int(to) - int(from) + mqtt.MaxPacketID) % mqtt.MaxPacketID
}

func (o *Outbound[T]) take(id mqtt.PacketID, st Stage) (v T, ok bool) {
	s := o.Awaits(id, st)
	if s == nil {
		return v, false
	}
	v = s.Value
	o.End(s)
	return v, true
}

func (o *Outbound[T]) finish(s *Slot[T]) {
	if s.counts {
		o.quota++
	}
	if s.again {
		o.resend--
	}
	*s = Slot[T]{}
	o.live--
}

// trim drops done slots from the front, where acknowledgements in order leave them.
func (o *Outbound[T]) trim() {
	for o.n > 0 && o.at(0).Stage == done {
		o.head++
		if int(o.head) == len(o.ring) {
			o.head = 0
		}
		o.n--
	}
}

// push returns the slot behind the newest with a fresh identifier.
func (o *Outbound[T]) push() *Slot[T] {
	if int(o.n) == len(o.ring) {
		o.makeRoom()
	}
	o.freshID()
	s := o.at(o.n)
	o.n++
	o.live++
	s.ID, s.issued = o.last, o.issued // the rest is as finish left it
	return s
}

// makeRoom closes the gaps that acknowledgements out of order left, or grows.
func (o *Outbound[T]) makeRoom() {
	if int(o.live) == len(o.ring) {
		bigger := make([]Slot[T], min(int(o.limit), max(4, 2*len(o.ring))))
		for i := range o.n {
			bigger[i] = *o.at(i)
		}
		o.ring, o.head = bigger, 0
		return
	}
	var k uint16
	for i := range o.n {
		if s := o.at(i); s.Stage != done {
			if k != i {
				*o.at(k) = *s
				*s = Slot[T]{}
			}
			k++
		}
	}
	o.n = k
}

// freshID steps last to an identifier not in use [MQTT-2.2.1-3, 5.0]
// [MQTT-2.3.1-2, 3.1.1]. There is one, since the window has room. Only where
// the oldest exchange has been open for a whole lap can one be taken.
func (o *Outbound[T]) freshID() {
	for {
		o.last++
		if o.last == 0 {
			o.last = 1
		}
		o.issued++
		if o.n == 0 || o.issued-o.at(0).issued < mqtt.MaxPacketID || o.find(o.last) == nil {
			return
		}
	}
}
