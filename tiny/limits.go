package tiny

import (
	"runtime"
	"unsafe"

	"github.com/midgemq/midge/flow"
)

// Limits say how large a Broker is: everything it will ever need is laid out
// once, from them. A zero field takes the default, a negative one is off where
// that makes sense.
type Limits struct {
	Clients       int // [1, 250] connected at once; default 8
	Sessions      int // [Clients, 250] sessions kept, connected or away; default Clients
	Filters       int // [1, 4096] subscriptions of all sessions together; default 32
	MaxPacket     int // [64, 32768] bytes of the largest packet taken, announced to 5.0 clients; default 512
	ReceiveBuffer int // [MaxPacket, 32768] bytes a connection to receive in; negative: none, bytes are read in place; default MaxPacket
	Queue         int // [1, 1024] messages that wait for one session; default 4
	Inflight      int // [1, 1024] QoS 1 and 2 messages sent to one session and not acknowledged; default 4
	Retained      int // [1, 1024] retained messages; negative: off; default 16
	RetainedBytes int // [64, Slab/2] bytes of the slab they may take; default 2048, or Slab/2
	Slab          int // [RetainedBytes + 2*MaxPacket, 262144], at least 1024, bytes for messages, wills, filters and identifiers together; default 4096
	MaxQoS        int // [1, 2] highest QoS taken and granted; negative: 0; default 2
	// ReceiveMaximum [1, 1024] is how many QoS 1 and 2 messages a client may
	// have unacknowledged; default 20. 5.0 clients are told; older ones, which
	// cannot be, are disconnected when they have more.
	ReceiveMaximum int

	KeepDelay int // [1, 86400] seconds a changed retained message waits for others before flash is written; default 5
}

// defaultLimits are the plan of the fixed-memory brokers there are: 8 clients,
// 32 filters, 512-byte packets, 4 messages waiting each, 2 KB retained.
var defaultLimits = Limits{
	Clients: 8, Filters: 32, MaxPacket: 512, Queue: 4, Inflight: 4, ReceiveMaximum: 20,
	Retained: 16, RetainedBytes: 2048, Slab: 4096, MaxQoS: 2, KeepDelay: 5,
}

// A LimitError is a field of Limits outside its range: the program's fault.
type LimitError struct {
	Field    string
	Min, Max int
	Got      int
}

func (e *LimitError) Error() string {
	return "tiny: Limits." + e.Field + " is " + itoa(e.Got) + ", not within [" + itoa(e.Min) + ", " + itoa(e.Max) + "]"
}

// Filled returns l with the defaults in place of zero fields, as New does.
func (l Limits) Filled() Limits { return l.withDefaults() }

// withDefaults fills in zero fields.
func (l Limits) withDefaults() Limits {
	d, given := defaultLimits, l.RetainedBytes
	for _, f := range []struct{ field, value *int }{
		{&l.Clients, &d.Clients},
		{&l.Filters, &d.Filters},
		{&l.MaxPacket, &d.MaxPacket},
		{&l.Queue, &d.Queue},
		{&l.Inflight, &d.Inflight},
		{&l.ReceiveMaximum, &d.ReceiveMaximum},
		{&l.Retained, &d.Retained},
		{&l.RetainedBytes, &d.RetainedBytes},
		{&l.Slab, &d.Slab},
		{&l.MaxQoS, &d.MaxQoS},
		{&l.KeepDelay, &d.KeepDelay},
	} {
		if *f.field == 0 {
			*f.field = *f.value
		}
	}
	if l.Sessions == 0 {
		l.Sessions = l.Clients
	}
	if given == 0 {
		l.RetainedBytes = min(l.RetainedBytes, l.Slab/2)
	}
	if l.ReceiveBuffer == 0 {
		l.ReceiveBuffer = l.MaxPacket
	}
	return l
}

// check returns a *LimitError for the first field out of range.
func (l Limits) check() error {
	for _, f := range []struct {
		name     string
		got      int
		min, max int
		off      bool // negative is allowed, and means off
	}{
		{"Clients", l.Clients, 1, 250, false},
		{"Sessions", l.Sessions, l.Clients, 250, false},
		{"Filters", l.Filters, 1, 4096, false},
		{"MaxPacket", l.MaxPacket, 64, 32768, false},
		{"ReceiveBuffer", l.ReceiveBuffer, l.MaxPacket, 32768, true},
		{"Queue", l.Queue, 1, 1024, false},
		{"Inflight", l.Inflight, 1, 1024, false},
		{"ReceiveMaximum", l.ReceiveMaximum, 1, 1024, false},
		{"Retained", l.Retained, 1, 1024, true},
		{"RetainedBytes", l.RetainedBytes, 64, l.Slab / 2, false},
		{"Slab", l.Slab, max(1024, 2*l.MaxPacket+orNone(l.RetainedBytes)*min(1, orNone(l.Retained))), maxSlab, false},
		{"MaxQoS", l.MaxQoS, 1, 2, true},
		{"KeepDelay", l.KeepDelay, 1, 86400, false},
	} {
		if (f.got < f.min || f.got > f.max) && !(f.off && f.got < 0) {
			return &LimitError{f.name, f.min, f.max, f.got}
		}
	}
	if n := l.handles(); n > maxHandle {
		return &LimitError{"Filters, Sessions and Queue together ask for handles", 1, maxHandle, n}
	}
	return nil
}

// slots is how many connections there may be: one more than clients, so that
// one too many is told so, and a client that comes back finds a way in.
func (l Limits) slots() int { return l.Clients + 1 }

// handles is how many objects the slab may hold: identifiers and wills, a
// SUBACK a connection, filters, retained messages, messages waiting or in
// flight, of which many share one, and some that are parked.
func (l Limits) handles() int {
	return 2*l.Sessions + l.slots() + l.Filters + orNone(l.Retained) + l.Sessions*(2*l.Queue+l.Inflight)
}

// grants is one for each session and one for the program, and no less than the
// allocator likes to give.
func (l Limits) grants() int { return max(l.Sessions+1, 16) }

// buffers is what the receive buffers take together, in bytes.
func (l Limits) buffers() int { return l.slots() * orNone(l.ReceiveBuffer) }

// orNone is a limit, or 0 where it is off.
func orNone(limit int) int { return max(limit, 0) }

// An Item is one line of the memory bill: Count tables of Each bytes.
type Item struct {
	Name  string
	Count int
	Each  int // bytes
}

// Bytes is what the item comes to.
func (i Item) Bytes() int { return i.Count * i.Each }

// Bill itemizes the memory that New takes, on the machine it is called on:
// pointers differ from chip to chip. What Go's allocator adds by rounding up is
// the last item; TinyGo's adds up to 15 bytes a table, which are not in it.
func (l Limits) Bill() []Item {
	l = l.withDefaults()
	items := l.items()
	return append(items, Item{"allocator's rounding", 1, l.rounding(items)})
}

func (l Limits) items() []Item {
	return []Item{
		{"broker and packet at hand", 1, int(unsafe.Sizeof(Broker{}))},
		{"connections", l.slots(), int(unsafe.Sizeof(conn{}))},
		{"receive buffers", l.slots(), orNone(l.ReceiveBuffer)},
		{"sessions", l.Sessions, int(unsafe.Sizeof(session{}))},
		{"exchanges outbound", l.Sessions * l.Inflight, int(unsafe.Sizeof(flow.Slot[ref]{}))},
		{"exchanges inbound", l.Sessions, flow.InboundDue + flow.InboundHeld*l.ReceiveMaximum},
		{"queue places", l.Sessions * l.Queue, int(unsafe.Sizeof(place{}))},
		{"subscriptions", l.Filters, int(unsafe.Sizeof(subscription{})) + int(unsafe.Sizeof(uint32(0)))},
		{"match results", 2 * l.grants(), int(unsafe.Sizeof(grant(0)))},
		{"retained messages, index", orNone(l.Retained), int(unsafe.Sizeof(retained{}))},
		{"handles", l.handles(), 2},
		{"slab", 1, l.Slab},
	}
}

// rounding is what the allocator adds to the tables New makes of items. Some
// items are two tables.
func (l Limits) rounding(items []Item) (n int) {
	if runtime.Compiler != "gc" {
		return 0
	}
	add := func(size int, pointers bool) {
		asked := size
		if pointers && size > 512 {
			asked += 8 // the runtime's note where the pointers are
		}
		if size > 0 {
			n += cap(append([]byte(nil), make([]byte, asked)...)) - size
		}
	}
	for i, item := range items {
		switch i {
		case itemInbound:
			add(item.Count*flow.InboundDue, false)
			add(item.Count*flow.InboundHeld*l.ReceiveMaximum, false)
		case itemMatches:
			add(l.grants(), false)
			add(l.grants(), false)
		case itemFilters:
			add(item.Count*4, false)
			add(item.Bytes()-item.Count*4, false)
		default:
			add(item.Bytes(), i <= itemSessions && i != itemBuffers)
		}
	}
	return n
}

// The items that rounding has to know apart.
const (
	itemBuffers  = 2
	itemSessions = 3
	itemInbound  = 5
	itemFilters  = 7
	itemMatches  = 8
)

// Bytes is the sum of the Bill: all the memory a Broker of these limits will
// ever use, besides its caller's.
func (l Limits) Bytes() (n int) {
	for _, i := range l.Bill() {
		n += i.Bytes()
	}
	return n
}

// MaxOutgoing is the largest packet such a Broker sends, in bytes: what
// Outgoing should be offered room for.
func (l Limits) MaxOutgoing() int {
	l = l.withDefaults()
	return l.MaxPacket + outgoingExtra
}

func itoa(n int) string {
	if n < 0 {
		return "-" + itoa(-n)
	}
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
