package sim

import (
	"fmt"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// do does one operation.
func (w *World) do(op *Op) {
	switch op.Verb {
	case Leap:
		w.pass(op.For)
	case Freeze:
		w.fault("frozen clients")
		w.freeze(op.For)
	case Kill, PowerCut:
		w.crashSoon(op)
	case Restart:
		w.restart(op.For)
	case DiskFull, DiskFails, DiskSlow:
		w.spoil(op)
	case Probe:
		w.probe(op.Payload)
	default:
		if op.Who < len(w.actors) {
			w.doActor(w.actors[op.Who], op)
		} else {
			w.doProgram(w.programs[op.Who-len(w.actors)], op)
		}
	}
}

// fault counts one.
func (w *World) fault(name string) { w.model.count.Faults[name]++ }

func (w *World) doActor(a *actor, op *Op) {
	switch op.Verb {
	case Connect:
		if a.k != nil {
			w.fault("takeover")
		}
		a.connect(op.Hello)
	case Goodbye:
		a.goodbye(op.N, op.Expiry)
	case Subscribe:
		a.ask(func(id mqtt.PacketID) []byte { return a.subscribe(id, op) })
	case Unsubscribe:
		a.ask(func(id mqtt.PacketID) []byte {
			u := packet.Unsubscribe{ID: id, Filters: packet.TopicFilters(nil).Add(op.Topic)}
			return u.Append(nil, a.last.Version)
		})
	case Publish:
		op.each(func(text string) { a.publish(op.Topic, text, op.QoS, op.Retain, op.Expiry) })
	case Acknowledge:
		if a.lazy = op.N == 0; !a.lazy {
			a.settle()
		}
	case Reset, Tear, HalfOpen:
		if a.k != nil {
			w.hurt(a.k, op)
		}
	case Stall:
		if a.k != nil && !a.stalled {
			w.fault(op.Verb.String())
			a.stalled = true
			a.x.mark(func(x *watch) { x.slow = true })
			k := a.k
			time.AfterFunc(op.For, func() { k.awake.Store(true); w.poke() })
		}
	}
}

// each calls f for the message of a Publish, and for those that follow it.
func (op *Op) each(f func(payload string)) {
	f(op.Payload)
	for i := range op.N {
		f(fmt.Sprintf("%s/%d", op.Payload, i+1))
	}
}

func (w *World) doProgram(p *program, op *Op) {
	switch op.Verb {
	case Subscribe:
		p.subscribe(op.Filters)
	case Unsubscribe:
		p.unsubscribe(op.Topic)
	case Publish:
		op.each(func(text string) { p.publish(op.Topic, text, op.QoS, op.Retain, op.Expiry) })
	case Goodbye:
		p.c.Reconnect()
	case Again:
		p.stop()
		p.start()
	case Reset, Tear, HalfOpen:
		if x := p.view.current(); x != nil {
			w.hurt(x.k, op)
		}
	}
}

// hurt does something to a link.
func (w *World) hurt(k *link, op *Op) {
	w.fault(op.Verb.String())
	k.faulty.Store(true)
	k.view.mark(func(x *watch) { x.slow = true })
	switch op.Verb {
	case Reset:
		k.cut()
	case Tear:
		if op.Bits&1 == 0 {
			k.up.tearAfter(op.N)
		} else {
			k.down.tearAfter(op.N)
		}
	case HalfOpen:
		if op.Bits&1 == 0 {
			k.up.vanish()
		}
		if op.Bits&3 != 2 {
			k.down.vanish()
		}
	}
}

// crashSoon has the server crash: now, in the middle of writing to the disk,
// or in the middle of what it says.
func (w *World) crashSoon(op *Op) {
	w.completeCrash()
	h := w.host
	if h == nil {
		return
	}
	w.crash = op
	w.fault(op.Verb.String())
	switch {
	case op.Bits%3 == 0 && h.store != nil:
		w.disk.SetBudget(op.N/4, h.died)
	case op.Bits%3 == 1:
		h.room.Store(int64(op.N) * 4)
	default:
		h.fall()
	}
	w.quiesce()
}

// checkCrash buries a server that has crashed, and has another one begin.
func (w *World) checkCrash() bool {
	if w.host == nil || !w.host.dead.Load() {
		return false
	}
	op := w.crash
	w.crash = nil
	w.note("    crash, %v", op.Verb)
	gone := time.Unix(0, w.host.fell.Load())
	w.bury(op.Verb == PowerCut, op.Bits)
	w.pass(op.For)
	w.boot()
	w.model.serverBack(w.plan.Kind != Durable, gone)
	w.note("    the server is back")
	return true
}

// completeCrash has a crash that waits for its moment happen at once.
func (w *World) completeCrash() {
	if w.crash != nil && w.host != nil {
		w.host.fall()
		w.quiesce()
	}
}

func (w *World) restart(down time.Duration) {
	w.fault(Restart.String())
	w.completeCrash()
	h := w.host
	w.mu.Lock()
	w.host = nil
	links := h.links
	w.mu.Unlock()
	for _, k := range links {
		k.faulty.Store(true)
	}
	w.mend()
	gone := time.Now()
	w.model.mark(func(m *model) { m.closing = w.plan.Kind != Durable })
	h.halt()
	for _, k := range links {
		w.serverClosed(k)
	}
	w.pass(down)
	w.boot()
	w.model.serverBack(w.plan.Kind != Durable, gone)
	w.note("    the server is back")
}

// spoil brings the disk into trouble for a while.
func (w *World) spoil(op *Op) {
	if w.plan.Kind != Durable {
		return
	}
	w.mend()
	w.fault(op.Verb.String())
	w.model.setTrouble(true)
	w.mended = time.Now().Add(op.For)
	switch op.Verb {
	case DiskFull:
		w.disk.SetRoom(op.N)
	case DiskFails:
		w.disk.SetSync(0, errBroken)
	case DiskSlow:
		w.disk.SetSync(time.Duration(op.N)*time.Millisecond, nil)
	}
}

func (w *World) mend() {
	if w.mended.IsZero() {
		return
	}
	w.mended = time.Time{}
	w.disk.SetRoom(-1)
	w.disk.SetSync(0, nil)
	w.model.setTrouble(false)
}

func (a *actor) goodbye(code int, expiry uint32) {
	if !a.up {
		return
	}
	d := packet.Disconnect{Properties: &packet.Properties{}}
	if a.last.Version == mqtt.V5 {
		d.Code = mqtt.ReasonCode(code)
		if a.last.Expiry > 0 {
			d.Properties.SessionExpiryInterval = expiry
		}
	}
	a.write(d.Append(nil, a.last.Version))
	a.drop()
}

func (a *actor) subscribe(id mqtt.PacketID, op *Op) []byte {
	s := packet.Subscribe{ID: id, Properties: &packet.Properties{}}
	v5 := a.last.Version == mqtt.V5
	if v5 {
		s.Properties.SubscriptionIdentifier = op.ID
	}
	for _, f := range op.Filters {
		n := packet.Subscription{Filter: []byte(f.Filter), QoS: f.QoS}
		if v5 {
			n.NoLocal, n.RetainAsPublished, n.RetainHandling = f.NoLocal, f.RetainAsPublished, f.RetainHandling
		}
		s.Filters = s.Filters.Add(n)
	}
	return s.Append(nil, a.last.Version)
}

// mark notes something about a connection.
func (x *watch) mark(f func(x *watch)) {
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	f(x)
}

// current is the view's last connection, if it is up.
func (v *view) current() *watch {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if n := len(v.watches); n > 0 && !v.watches[n-1].ended {
		return v.watches[n-1]
	}
	return nil
}
