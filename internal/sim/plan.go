package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// A Plan is one history, before it happens: who is there and what is done, in
// which order. It follows from its seed; leaving operations out leaves the
// others as they are.
type Plan struct {
	Seed       uint64
	Kind       Kind
	Inflight   int   // of the server towards a client; 0: its default
	ReceiveMax int   // of the server; 0: its default
	Segment    int64 // of the store
	Actors     []Hello
	Programs   []Hello
	Ops        []Op
}

// A Verb is what an Op does.
type Verb int

// The verbs: what clients do, what happens to the world.
const (
	Connect Verb = iota
	Goodbye
	Subscribe
	Unsubscribe
	Publish
	Acknowledge // withhold acknowledgements, or give them
	Again       // a program ends and begins anew

	Leap   // for hours
	Freeze // the same, and no client does anything meanwhile

	Reset
	Tear
	HalfOpen
	Stall // a client reads nothing for a while
	Kill
	PowerCut
	Restart
	DiskFull
	DiskFails
	DiskSlow
	Probe // somebody new asks for all retained messages
	verbs
)

var verbNames = [...]string{
	"connect", "goodbye", "subscribe", "unsubscribe", "publish", "acknowledge", "program restart",
	"leap", "freeze",
	"reset", "torn packet", "half-open", "stalled reader", "kill", "power cut", "restart",
	"disk full", "sync fails", "slow disk", "probe",
}

func (v Verb) String() string { return verbNames[v] }

// A Filter is one subscription of a SUBSCRIBE.
type Filter struct {
	Filter                     string
	QoS                        mqtt.QoS
	NoLocal, RetainAsPublished bool
	RetainHandling             byte
}

// An Op is one thing done.
type Op struct {
	Verb    Verb
	Who     int // the actor, or the program behind them
	Hello   Hello
	Filters []Filter
	ID      uint32 // Subscription Identifier
	Topic   string
	Payload string
	QoS     mqtt.QoS
	Retain  bool
	Expiry  uint32
	N       int
	For     time.Duration // how long it takes, or lasts
	Bits    uint64
	After   time.Duration // what passes before the next one
}

var (
	topics  = []string{"a/b", "a/c", "a/b/c", "b", "r/1", "r/2", "r/3", "s/x", "s/y"}
	filters = []string{"#", "a/#", "a/+", "+/b", "b", "r/#", "r/1", "+/+/c", "s/#", "w/#", "s/x", "a/b"}
	shared  = []string{"$share/g/s/#", "$share/g/s/#", "$share/h/s/x", "$share/g/a/+"}
)

// NewPlan makes the history of a seed.
func NewPlan(seed uint64) *Plan {
	r := rand.New(rand.NewPCG(seed, 1))
	g := &generator{Rand: r, p: &Plan{Seed: seed}}
	p := g.p
	p.Kind = [...]Kind{Durable, Durable, Durable, Durable, Durable, Durable, Volatile, Volatile, Fixed, Fixed}[r.IntN(10)]
	p.Inflight = [...]int{0, 0, 1, 3, 10}[r.IntN(5)]
	p.ReceiveMax = [...]int{0, 0, 4}[r.IntN(3)]
	p.Segment = int64(4096 << r.IntN(4))
	for range 3 + r.IntN(3) {
		p.Actors = append(p.Actors, g.hello())
	}
	for range 1 + r.IntN(2) {
		h := g.hello()
		h.Will = nil
		p.Programs = append(p.Programs, h)
	}
	g.open()
	for range 20 + r.IntN(50) {
		g.op()
	}
	return p
}

type generator struct {
	*rand.Rand
	p       *Plan
	payload int
}

func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *generator) hello() Hello {
	h := Hello{
		Version: pick(g, mqtt.V5, mqtt.V5, mqtt.V311), Clean: g.chance(15),
		Expiry:    pick[uint32](g, 0, 5, 60, 3600, 86400, mqtt.NeverExpires, mqtt.NeverExpires, mqtt.NeverExpires),
		KeepAlive: pick[uint16](g, 0, 60, 300, 900),
		Wire:      g.wire(),
		AliasMax:  pick[uint16](g, 0, 0, 1, 8),
	}
	if g.chance(30) {
		h.ReceiveMax = uint16(1 + g.IntN(5))
	}
	if g.chance(50) {
		h.Will = &Leave{
			Payload: g.text("w"), QoS: mqtt.QoS(g.IntN(3)), Retain: g.chance(30), Delay: pick[uint32](g, 0, 0, 5, 30, 300),
		}
	}
	return h
}

func (g *generator) wire() Wire {
	w := Wire{Delay: pick(g, 0, 0, 0, time.Millisecond, 40*time.Millisecond, time.Second)}
	if g.chance(25) {
		w.Chunk = 1 + g.IntN(7)
	}
	if g.chance(20) {
		w.Room = 64 + g.IntN(400)
	}
	return w
}

func (g *generator) text(kind string) string {
	g.payload++
	return fmt.Sprintf("%s%d", kind, g.payload)
}

// open has everybody connect and most subscribe.
func (g *generator) open() {
	for i := range len(g.p.Actors) {
		g.p.Actors[i].Clean = g.p.Actors[i].Clean && g.chance(50)
		g.add(Op{Verb: Connect, Who: i, Hello: g.p.Actors[i]})
	}
	for i := range len(g.p.Actors) + len(g.p.Programs) {
		if g.chance(80) {
			g.add(g.subscribe(i))
		}
	}
}

func (g *generator) add(op Op) {
	op.After = g.gap()
	g.p.Ops = append(g.p.Ops, op)
}

func (g *generator) gap() time.Duration {
	switch n := g.IntN(100); {
	case n < 40:
		return 0
	case n < 75:
		return time.Duration(g.IntN(100)) * time.Millisecond
	case n < 90:
		return time.Duration(g.IntN(10_000)) * time.Millisecond
	case n < 97:
		return time.Duration(g.IntN(100)) * time.Second
	}
	return time.Duration(g.IntN(40)) * time.Minute
}

func (g *generator) who() int { return g.IntN(len(g.p.Actors) + len(g.p.Programs)) }

func (g *generator) op() {
	switch n := g.IntN(100); {
	case n == 0 && g.p.Kind != Fixed:
		op := g.publish()
		if op.Payload != "" {
			op.N = 50 + g.IntN(400)
		}
		g.add(op)
	case n < 42:
		for range 1 + g.IntN(3)*g.IntN(4) {
			g.add(g.publish())
			if g.chance(60) {
				g.p.Ops[len(g.p.Ops)-1].After = 0
			}
		}
	case n < 52:
		g.add(g.subscribe(g.who()))
	case n < 55:
		f := pick(g, filters...)
		if g.chance(20) && g.p.Kind != Fixed {
			f = pick(g, shared...)
		}
		g.add(Op{Verb: Unsubscribe, Who: g.who(), Topic: f})
	case n < 65:
		g.add(Op{Verb: Connect, Who: g.IntN(len(g.p.Actors)), Hello: g.hello()})
	case n < 69:
		g.add(Op{Verb: Goodbye, Who: g.who(), N: pick(g, 0, 0, 0, 4), Expiry: pick[uint32](g, 0, 0, 0, 30, 3600)})
	case n < 72:
		g.add(Op{Verb: Acknowledge, Who: g.IntN(len(g.p.Actors)), N: g.IntN(2)})
	case n < 74:
		g.add(Op{Verb: Again, Who: len(g.p.Actors) + g.IntN(len(g.p.Programs))})
	case n < 76:
		g.add(Op{Verb: Probe, Payload: g.text("probe")})
	case n < 79:
		g.add(Op{Verb: Leap, For: time.Duration(g.IntN(180)) * time.Minute})
	case n < 80:
		g.add(Op{Verb: Freeze, For: time.Duration(g.IntN(90)) * time.Minute})
	default:
		g.fault()
	}
}

func (g *generator) fault() {
	op := Op{Who: g.who(), N: g.IntN(40), Bits: g.Uint64()}
	switch n := g.IntN(100); {
	case n < 25:
		op.Verb = Reset
	case n < 40:
		op.Verb = Tear
	case n < 50:
		op.Verb = HalfOpen
	case n < 58:
		op.Verb, op.For = Stall, time.Duration(1+g.IntN(100))*time.Second
	case n < 68:
		op.Verb, op.For, op.N = Kill, time.Duration(g.IntN(20))*time.Second, g.IntN(30)
	case n < 82:
		op.Verb, op.For, op.N = PowerCut, time.Duration(g.IntN(60))*time.Second, g.IntN(30)
	case n < 85:
		op.Verb, op.For = Restart, time.Duration(g.IntN(20))*time.Second
	case n < 90:
		op.Verb, op.For, op.N = DiskFull, time.Duration(1+g.IntN(30))*time.Second, g.IntN(2000)
	case n < 95:
		op.Verb, op.For = DiskFails, time.Duration(1+g.IntN(30))*time.Second
	default:
		op.Verb, op.For, op.N = DiskSlow, time.Duration(10+g.IntN(60))*time.Second, g.IntN(2000)
	}
	g.add(op)
}

func (g *generator) publish() Op {
	op := Op{
		Verb: Publish, Who: g.who(), Topic: pick(g, topics...), Payload: g.text("m"), QoS: mqtt.QoS(g.IntN(3)),
		Retain: g.chance(10), Expiry: pick[uint32](g, 0, 0, 0, 0, 0, 2, 30, 600),
	}
	if g.chance(10) {
		op.Payload += strings.Repeat(".", 100+g.IntN(400))
	}
	if strings.HasPrefix(op.Topic, "r/") {
		op.Retain = g.chance(70)
		if op.Retain && g.chance(20) && op.Who < len(g.p.Actors) {
			op.Payload = ""
		}
	}
	return op
}

func (g *generator) subscribe(who int) Op {
	op := Op{Verb: Subscribe, Who: who}
	if g.chance(40) {
		op.ID = uint32(1 + g.IntN(300))
	}
	at := g.IntN(len(filters))
	for range 1 + g.IntN(2) {
		at = (at + 1) % len(filters)
		f := Filter{Filter: filters[at], QoS: mqtt.QoS(g.IntN(3))}
		if g.chance(30) {
			f.NoLocal, f.RetainAsPublished, f.RetainHandling = g.chance(30), g.chance(40), byte(g.IntN(3))
		}
		op.Filters = append(op.Filters, f)
	}
	if g.p.Kind != Fixed && g.chance(20) {
		op.Filters = []Filter{{Filter: pick(g, shared...), QoS: mqtt.QoS(g.IntN(3))}}
	}
	return op
}

func (op *Op) String() string {
	s := op.Verb.String()
	switch op.Verb {
	case Connect:
		h := &op.Hello
		s = fmt.Sprintf("%d connects, MQTT %v, clean %v, expiry %d, keep alive %d, receive maximum %d, %+v", op.Who, h.Version, h.Clean, h.Expiry, h.KeepAlive, h.ReceiveMax, h.Wire)
		if h.Will != nil {
			s += fmt.Sprintf(", will %+v", *h.Will)
		}
	case Goodbye:
		s = fmt.Sprintf("%d says goodbye, %d, expiry %d", op.Who, op.N, op.Expiry)
	case Subscribe:
		s = fmt.Sprintf("%d subscribes to %+v, id %d", op.Who, op.Filters, op.ID)
	case Unsubscribe:
		s = fmt.Sprintf("%d unsubscribes from %s", op.Who, op.Topic)
	case Publish:
		s = fmt.Sprintf("%d publishes %.10q to %s, QoS %d, retain %v, expiry %d, and %d more", op.Who, op.Payload, op.Topic, op.QoS, op.Retain, op.Expiry, op.N)
	case Acknowledge, Again, Reset, HalfOpen:
		s = fmt.Sprintf("%d: %v %d", op.Who, op.Verb, op.N)
	case Tear, Stall:
		s = fmt.Sprintf("%d: %v %d %v", op.Who, op.Verb, op.N, op.For)
	case Kill, PowerCut, Restart, DiskFull, DiskFails, DiskSlow, Leap, Freeze:
		s = fmt.Sprintf("%v %d %v", op.Verb, op.N, op.For)
	}
	return fmt.Sprintf("%s; then %v", s, op.After)
}
