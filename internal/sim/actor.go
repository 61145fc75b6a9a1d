package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// An actor is a client that does what it is told, byte by byte, and otherwise
// what the standard asks of one. The world's goroutine alone moves it.
type actor struct {
	w    *World
	name string
	view *view
	last Hello // the options it connects with by itself

	// The connection.
	k        *link
	x        *watch
	in       []byte
	up       bool // CONNACK has come
	keep     time.Duration
	pinged   time.Time // unanswered
	nextPing time.Time
	greeted  time.Time // when CONNECT went out
	stalled  bool      // reads nothing
	lazy     bool      // acknowledges nothing
	owing    [][]byte

	// The session.
	id      mqtt.PacketID
	window  int
	flying  []*errand // sent, not complete
	waiting []*errand
	asking  []func(id mqtt.PacketID) []byte // SUBSCRIBE and UNSUBSCRIBE for when it is connected
}

// An errand is a message to be published.
type errand struct {
	p        packet.Publish
	released bool // PUBREC has come
	due      bool // to be sent again
	counts   bool // against the server's Receive Maximum
}

// A Hello is how a client connects.
type Hello struct {
	Version    mqtt.Version
	Clean      bool
	Expiry     uint32 // seconds
	KeepAlive  uint16 // seconds
	ReceiveMax uint16
	AliasMax   uint16
	Will       *Leave
	Wire       Wire
}

// A Leave is a will.
type Leave struct {
	Payload string
	QoS     mqtt.QoS
	Retain  bool
	Delay   uint32 // seconds
}

func (a *actor) connect(h Hello) {
	w := a.w
	x := w.dial(a.view, h.Wire)
	if x == nil {
		return // nobody listens
	}
	// The connection before stays as it is, unread, for the server to end; but two
	// CONNECTs do not race.
	if a.k != nil && !a.up {
		a.k.cut()
	}
	a.k, a.x, a.in, a.up, a.stalled, a.owing = x.k, x, nil, false, false, nil
	h.Clean = h.Clean || a.last.Clean // a clean start is asked for until it is had
	a.last = h
	a.last.Will = nil
	a.keep = time.Duration(h.KeepAlive) * time.Second
	a.pinged, a.nextPing, a.greeted = time.Time{}, time.Time{}, time.Now()
	c := packet.Connect{
		Version: h.Version, CleanStart: h.Clean, KeepAlive: h.KeepAlive, ClientID: []byte(a.name), Properties: &packet.Properties{},
	}
	if h.Version == mqtt.V5 {
		c.Properties.SessionExpiryInterval, c.Properties.ReceiveMaximum = h.Expiry, h.ReceiveMax
		c.Properties.TopicAliasMaximum = h.AliasMax
	}
	if l := h.Will; l != nil {
		c.HasWill = true
		c.Will = packet.Will{Topic: []byte("w/" + a.name), Payload: []byte(l.Payload), QoS: l.QoS, Retain: l.Retain, Properties: &packet.Properties{}}
		if h.Version == mqtt.V5 {
			c.Will.Properties.WillDelayInterval = l.Delay
		}
	}
	a.write(c.Append(nil))
}

// forget drops the client's half of the session. What is left at QoS 1 is
// published again; at QoS 2 it might come twice, so it is given up.
func (a *actor) forget() {
	var again []*errand
	for _, e := range a.flying {
		if e.p.QoS == mqtt.AtLeastOnce {
			e.p.Dup, e.p.ID, e.counts = false, 0, false
			again = append(again, e)
		}
	}
	a.waiting = append(again, a.waiting...)
	a.flying = nil
}

func (a *actor) write(b []byte) {
	if a.k == nil || len(b) == 0 {
		return
	}
	a.x.send(b)
	a.k.up.offer(b)
	a.nextPing = time.Now().Add(a.keep / 2)
}

// drop forgets the connection.
func (a *actor) drop() {
	if a.k == nil {
		return
	}
	a.x.hungUp()
	a.k.down.quit()
	a.k.up.finish()
	a.k, a.up, a.owing = nil, false, nil
}

// live makes sure that the actor is on its way to the server.
func (a *actor) live() {
	if a.k == nil {
		a.connect(a.last)
	}
}

// pump handles what has come. It reports whether that was anything.
func (a *actor) pump() bool {
	if a.k == nil || a.stalled && !a.k.awake.Load() {
		return false
	}
	a.stalled = false
	b, err := a.k.down.take()
	a.x.receive(b, err)
	if err != nil && err != errWait {
		a.drop()
		return true
	}
	a.in = append(a.in, b...)
	for a.k != nil {
		h, err := packet.ReadHeader(a.in)
		if err != nil || len(a.in) < h.Size+h.Len {
			break
		}
		body := slices.Clone(a.in[h.Size : h.Size+h.Len])
		a.in = a.in[h.Size+h.Len:]
		a.handle(h, body)
	}
	return len(b) > 0
}

func (a *actor) handle(h packet.Header, body []byte) {
	v := a.last.Version
	if !a.pinged.IsZero() {
		a.pinged = time.Now() // PINGRESP stands behind what is coming over a slow link
	}
	switch h.Type {
	case packet.CONNACK:
		a.welcome(body)
	case packet.PUBLISH:
		var p packet.Publish
		if p.Decode(v, h.Flags, body) == nil && p.QoS > 0 {
			t := packet.PUBACK
			if p.QoS == mqtt.ExactlyOnce {
				t = packet.PUBREC
			}
			a.owe(a.ack(t, p.ID))
		}
	case packet.PUBREL:
		var k packet.Ack
		if k.Decode(v, h.Type, body) == nil {
			a.owe(a.ack(packet.PUBCOMP, k.ID))
		}
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		var k packet.Ack
		if k.Decode(v, h.Type, body) == nil {
			a.acked(h.Type, &k)
		}
	case packet.PINGRESP:
		a.pinged = time.Time{}
	case packet.DISCONNECT:
		a.drop()
	}
}

func (a *actor) ack(t packet.Type, id mqtt.PacketID) []byte {
	k := packet.Ack{Type: t, ID: id}
	return k.Append(nil, a.last.Version)
}

// owe acknowledges, now or when told to.
func (a *actor) owe(b []byte) {
	if a.lazy {
		a.owing = append(a.owing, b)
	} else {
		a.write(b)
	}
}

func (a *actor) settle() {
	a.lazy, a.stalled = false, false
	for _, b := range a.owing {
		a.write(b)
	}
	a.owing = nil
}

func (a *actor) welcome(body []byte) {
	var p packet.Connack
	if p.Decode(a.last.Version, body) != nil || p.Code.Failed() || p.Return != mqtt.Accepted {
		a.drop()
		return
	}
	a.up, a.window, a.last.Clean = true, 8, false
	if n := int(p.Properties.ReceiveMaximum); n > 0 {
		a.window = min(a.window, n)
	}
	a.nextPing = a.greeted.Add(a.keep / 2) // an answer that was long in coming is nothing the server heard
	if !p.SessionPresent {
		a.forget()
	}
	for _, e := range a.flying { // [MQTT-4.4.0-1]
		e.p.Dup, e.due, e.counts = true, !e.released, false
		if e.released {
			a.write(a.ack(packet.PUBREL, e.p.ID))
		}
	}
	for _, f := range a.asking {
		a.write(f(a.number()))
	}
	a.asking = nil
	a.advance()
}

func (a *actor) number() mqtt.PacketID {
	for {
		a.id = a.id%200 + 1
		if !slices.ContainsFunc(a.flying, func(e *errand) bool { return e.p.ID == a.id }) {
			return a.id
		}
	}
}

// advance publishes what has to be sent again, and then what waits, as far as
// the window goes.
func (a *actor) advance() {
	used := 0
	for _, e := range a.flying {
		if e.counts {
			used++
		}
	}
	send := func(e *errand) {
		if e.p.QoS > 0 {
			e.due, e.counts = false, true
			used++
		}
		a.write(e.p.Append(nil, a.last.Version))
	}
	for _, e := range a.flying {
		if a.up && e.due && used < a.window {
			send(e)
		}
	}
	for a.up && len(a.waiting) > 0 {
		e := a.waiting[0]
		if e.p.QoS > 0 {
			if used >= a.window {
				return
			}
			e.p.ID = a.number()
			a.flying = append(a.flying, e)
		}
		a.waiting = a.waiting[1:]
		send(e)
	}
}

func (a *actor) acked(t packet.Type, k *packet.Ack) {
	i := slices.IndexFunc(a.flying, func(e *errand) bool { return e.p.ID == k.ID })
	if i < 0 {
		if t == packet.PUBREC && !k.Code.Failed() {
			a.write(a.ack(packet.PUBREL, k.ID))
		}
		return
	}
	if e := a.flying[i]; t == packet.PUBREC && !k.Code.Failed() {
		e.released = true
		a.write(a.ack(packet.PUBREL, k.ID))
		return
	}
	a.flying = slices.Delete(a.flying, i, i+1)
	a.advance()
}

func (a *actor) publish(topic, payload string, q mqtt.QoS, retain bool, expiry uint32) {
	p := packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: q, Retain: retain, Properties: &packet.Properties{}}
	if a.last.Version == mqtt.V5 {
		p.Properties.MessageExpiryInterval = expiry
	}
	a.live()
	if q == 0 && !a.up {
		return // it has a bound to the connection there is
	}
	a.waiting = append(a.waiting, &errand{p: p})
	a.advance()
}

// ask sends a SUBSCRIBE or UNSUBSCRIBE, once connected.
func (a *actor) ask(f func(id mqtt.PacketID) []byte) {
	a.live()
	if a.up {
		a.write(f(a.number()))
	} else if a.k != nil {
		a.asking = append(a.asking, f)
	}
}

// ping keeps the connection alive, and gives it up when nobody answers. It
// returns when it wants to be called again.
func (a *actor) ping(now time.Time) (next time.Time) {
	if !a.up || a.keep == 0 {
		return now.Add(24 * time.Hour)
	}
	if !a.pinged.IsZero() && !a.stalled && now.Sub(a.pinged) >= a.keep {
		a.x.mark(func(x *watch) {
			if x.well() && x.closedAt.IsZero() {
				x.m.wrongLocked("%s waits %v for PINGRESP on a connection that is well", x.name, now.Sub(a.pinged))
			}
		})
		a.drop()
		return now
	}
	if !now.Before(a.nextPing) {
		a.write(packet.AppendPingreq(nil))
		if a.pinged.IsZero() {
			a.pinged = now
		}
		a.nextPing = now.Add(a.keep / 2)
	}
	return a.nextPing
}

func (a *actor) String() string {
	return fmt.Sprintf("%s up %v flying %d waiting %d", a.name, a.up, len(a.flying), len(a.waiting))
}
