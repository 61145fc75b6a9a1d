package tiny

import (
	"time"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
)

// A Slot is a connection's place in the broker, from Accept to Closed.
type Slot uint8

// A Broker is a whole MQTT broker in memory laid out once. It has no
// goroutine, clock or socket: its owner moves bytes and tells the time, and
// calls it from one goroutine. Nothing in it allocates after New.
type Broker struct {
	// Immutable.
	limits Limits
	hooks  Hooks
	flash  Flash

	now  time.Duration // as of the last Step
	due  time.Duration // when Step has something to do again, at the earliest
	busy bool          // a hook is running

	slab     slab
	conns    []conn
	buffers  []byte // receive buffers, one after the other
	sessions []session
	places   []place // queues of all sessions
	spare    uint16  // first free place + 1
	subs     []subscription
	nsubs    int
	retained []retained
	kept     int // bytes of the slab they take
	keeper   keeper

	sequence uint32        // of retained messages and subscriptions
	serial   uint32        // of identifiers given out
	named    [13]byte      // the last of them
	freed    uint32        // counts events after which what is held or parked may go on
	tried    uint32        // freed, when parked messages were last looked at
	parked   int           // messages that wait to be taken
	brimful  bool          // a queue has just been filled
	turn     uint8         // the session whose parked message was looked at last
	short    time.Duration // since when QoS 1 and 2 messages find no room in the slab; 0: they do
	online   int           // sessions connected

	// The packet at hand.
	packets link.Packets
	grants  []grant  // what match found, by session; the last is the program's own
	hits    []uint8  // the sessions among them, in no order
	ids     []uint32 // Subscription Identifiers of one message
	client  Client
	message Message

	stats Stats
}

// Stats count what a Broker has seen since New.
type Stats struct {
	Clients    int    // connected now
	Sessions   int    // kept now
	Filters    int    // subscriptions now
	Retained   int    // retained messages now
	SlabUsed   int    // bytes now
	SlabPeak   int    // bytes, the most there ever were
	Received   uint32 // PUBLISH packets taken
	Sent       uint32 // PUBLISH packets sent
	Dropped    uint32 // messages lost for lack of room: QoS 0, and wills
	Refused    uint32 // QoS 1 and 2 messages answered with 0x97
	Held       uint32 // QoS 1 and 2 messages that had to wait for room, unacknowledged
	Parked     int    // of them now
	Expired    uint32 // messages whose time ran out while they waited
	Stalled    uint32 // clients disconnected because they did not take what was theirs
	Forgotten  uint32 // sessions of absent clients ended for lack of room
	Evicted    uint32 // retained messages pushed out by others
	Connects   uint32 // sessions opened or resumed
	Denied     uint32 // CONNECT, PUBLISH and SUBSCRIBE a hook said no to
	FlashBytes uint32 // written to flash
	FlashErase uint32 // sectors erased
	FlashError uint32 // operations that failed
}

const (
	connectTimeout = 10 * time.Second // to CONNECT
	patience       = 30 * time.Second // with a client that takes nothing
	farewell       = 5 * time.Second  // to take the last words
	never          = time.Duration(1<<63 - 1)
)

// New lays out a Broker. A *LimitError says which limit makes no sense.
func New(l Limits, h Hooks) (*Broker, error) {
	l = l.withDefaults()
	if err := l.check(); err != nil {
		return nil, err
	}
	return lay(l, h, make([]byte, l.Slab), make([]byte, l.buffers())), nil
}

// NewIn is New with the slab and the receive buffers, the larger part, in the
// caller's memory: a static array, of Slab + (Clients+1) * ReceiveBuffer bytes.
// The Broker owns it from then on.
func NewIn(mem []byte, l Limits, h Hooks) (*Broker, error) {
	l = l.withDefaults()
	if err := l.check(); err != nil {
		return nil, err
	}
	if need := l.Slab + l.buffers(); len(mem) < need {
		return nil, &LimitError{"Slab and receive buffers in the caller's memory", 0, len(mem), need}
	}
	return lay(l, h, mem[:l.Slab:l.Slab], mem[l.Slab:]), nil
}

func lay(l Limits, h Hooks, slab, buffers []byte) *Broker {
	b := &Broker{
		limits:   l,
		hooks:    h,
		due:      never,
		buffers:  buffers,
		conns:    make([]conn, l.slots()),
		sessions: make([]session, l.Sessions),
		places:   make([]place, l.Sessions*l.Queue),
		subs:     make([]subscription, l.Filters),
		ids:      make([]uint32, l.Filters),
		grants:   make([]grant, l.grants()),
		hits:     make([]uint8, 0, l.grants()),
		retained: make([]retained, orNone(l.Retained)),
	}
	b.slab.init(slab, make([]uint16, l.handles()))
	for i := range b.places {
		b.places[i].next = uint16(i + 2)
	}
	b.places[len(b.places)-1].next = 0
	b.spare = 1
	window := make([]flow.Slot[ref], l.Sessions*l.Inflight)
	inbound := flow.MakeInboundStorage(l.Sessions, l.Sessions*l.ReceiveMaximum)
	for i := range b.sessions {
		s := &b.sessions[i]
		s.at = uint8(i)
		s.out.Init(l.Inflight, window[i*l.Inflight:(i+1)*l.Inflight])
		s.in.InitFixed(1, l.ReceiveMaximum, &inbound) // each is acknowledged as it is taken
	}
	return b
}

// Limits returns the limits in force, defaults filled in.
func (b *Broker) Limits() Limits { return b.limits }

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	s := b.stats
	s.Clients, s.Filters, s.Parked = b.online, b.nsubs, b.parked
	s.SlabUsed, s.SlabPeak = b.slab.live, b.slab.peak
	for i := range b.sessions {
		if b.sessions[i].id != 0 {
			s.Sessions++
		}
	}
	for i := range b.retained {
		if r := &b.retained[i]; r.msg != 0 && !r.gone {
			s.Retained++
		}
	}
	return s
}

// Accept takes a new connection in. false is no place left: close it.
func (b *Broker) Accept() (Slot, bool) {
	for i := range b.conns {
		c := &b.conns[i]
		if c.stage != vacant {
			continue
		}
		*c = conn{stage: greeting}
		c.in.Init(link.Server, 0, uint32(b.limits.MaxPacket))
		c.out.Init(link.Server, 0)
		c.timer.Init(b.now, connectTimeout)
		b.wake(b.now + connectTimeout)
		return Slot(i), true
	}
	return 0, false
}

// Closed says that a connection is gone; its slot is free again. If the
// client had not said goodbye, its will is due.
func (b *Broker) Closed(s Slot) {
	c := &b.conns[s]
	b.leave(s, mqtt.UnspecifiedError)
	b.slab.drop(c.answer)
	c.answer = 0
	c.stage = vacant
	b.freed++
	b.unpark()
}

// Over reports whether the broker is done with a connection: close it and
// call Closed.
func (b *Broker) Over(s Slot) bool { return b.conns[s].stage == over }

// Step moves the clock, which counts from any moment its owner likes, and does
// what has become due. It returns when it wants to be called again at the
// latest. Calling it often costs next to nothing.
func (b *Broker) Step(now time.Duration) (next time.Duration) {
	b.now = now
	if now < b.due {
		return b.due
	}
	b.due = never
	for i := range b.conns {
		b.stepConn(Slot(i))
	}
	for i := range b.sessions {
		b.stepSession(&b.sessions[i])
	}
	b.relieve()
	b.stepKeeper()
	b.unpark()
	return b.due
}

// wake makes sure that Step does not sleep past at.
func (b *Broker) wake(at time.Duration) { b.due = min(b.due, at) }

func (b *Broker) stepConn(i Slot) {
	c := &b.conns[i]
	switch c.stage {
	case vacant, over:
		return
	case leaving:
		if b.now >= c.since+farewell {
			c.stage = over
			return
		}
		b.wake(c.since + farewell)
		return
	}
	if c.held || c.stuck {
		limit := patience // with a client that takes no answers
		if c.held {
			limit = 2 * patience // it is we who do not listen
			c.timer.Heard(b.now)
		}
		if b.now >= c.since+limit {
			b.stats.Stalled++
			b.end(i, mqtt.QuotaExceeded)
			return
		}
		b.wake(c.since + limit)
	}
	switch c.timer.Check(b.now) {
	case link.Late:
		c.stage = over // [X311-3.1.4-a]: nothing is owed to who says nothing
		return
	case link.Quiet:
		b.end(i, mqtt.KeepAliveTimeout) // [MQTT-3.1.2-24, 3.1.1] [MQTT-3.1.2-22, 5.0]
		b.wake(c.since + farewell)
		return
	}
	if at, ok := c.timer.Next(); ok {
		b.wake(at)
	}
}

// Shutdown ends every connection, wills and all, and tells 5.0 clients. What
// Outgoing still has for them should be sent before the sockets close.
func (b *Broker) Shutdown() {
	for i := range b.conns {
		b.Disconnect(Slot(i), mqtt.ServerShuttingDown)
	}
}

// Disconnect ends one connection with a reason code, as far as the client's
// version can be told one. Its will is said unless code is mqtt.Success.
func (b *Broker) Disconnect(s Slot, code mqtt.ReasonCode) {
	if st := b.conns[s].stage; st == greeting || st == open {
		b.end(s, code)
		b.unpark()
	}
}
