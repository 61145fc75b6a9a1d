package midge

import (
	"time"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
)

// A scratch is the working memory of one batch. A connection borrows it while
// it has packets to handle, so an idle one costs none of it. It is its broker's:
// what it remembers of the index is.
type scratch struct {
	batch
	following
	packets link.Packets
	routes  routeCache
	raw     []byte // the packet at hand as it came, nil unless it stands in a read buffer
	run     run
	in      []byte // what has been read; of loops alone
	heard   tally
	now     time.Time
	tooFast bool // the packet at hand is to be refused

	m        message  // the PUBLISH at hand, in views
	kept     *message // its copy on the heap, once somebody needed one
	props    []byte
	one      packet.Publish // of a run, taken out of it again
	oneProps packet.Properties
	frames   [forms][]byte // the PUBLISH at hand, encoded; empty until wanted
	confirms []byte        // acknowledgements on their way to the outbox
	codes    []byte        // reason codes of the SUBACK or UNSUBACK at hand

	// With a store: what it knows of the message at hand; see keeper.
	number   store.MessageID
	saysWill store.SessionID // the message is that session's will
	asked    store.Position  // of what it changed apart from that
	promise  *promise

	leaves    store.SessionID // with its commit the message leaves this session
	leavesSeq uint64          // where it was at this place; 0: nowhere
}

// A batch is the connections that what has been handled so far has appended
// something for. They are written once, at its end.
type batch struct {
	dirty []*conn
	loop  *loop // whose turn it is; nil in a goroutine that may block
}

// flush writes what the batch has appended, without waiting for anybody.
func (b *batch) flush() {
	for i, c := range b.dirty {
		c.flushAside()
		b.dirty[i] = nil
	}
	b.dirty = b.dirty[:0]
	if cap(b.dirty) > 4096 {
		b.dirty = nil
	}
}

// keepScratch is the largest encoded message whose memory a scratch keeps.
const keepScratch = 64 << 10

func (sc *scratch) reset() *scratch {
	sc.begin()
	sc.m, sc.following = message{}, following{}
	for f, b := range sc.frames {
		if cap(b) > keepScratch {
			sc.frames[f] = nil
		}
	}
	if cap(sc.props) > keepScratch {
		sc.props = nil
	}
	if cap(sc.run.other) > keepScratch {
		sc.run.other = nil
	}
	return sc
}

// begin forgets the message before.
func (sc *scratch) begin() {
	sc.kept = nil
	sc.number, sc.saysWill, sc.asked, sc.promise, sc.leavesSeq = 0, 0, 0, nil, 0
	for f := range sc.frames {
		sc.frames[f] = sc.frames[f][:0]
	}
}

// of makes a kept message the one at hand.
func (sc *scratch) of(m *message) {
	sc.begin()
	sc.m, sc.kept = *m, m
}

// keep returns the message at hand as one that outlives the batch. All who
// keep it share the same copy.
func (sc *scratch) keep() *message {
	if sc.kept == nil {
		sc.kept = sc.m.clone()
	}
	return sc.kept
}

// frame returns the message at hand, encoded once for everyone of this
// version and QoS: no flags, identifier 0. idAt is where the identifier goes.
// nil is a message no packet can hold: one that came under a topic alias may
// be too large without.
func (sc *scratch) frame(v mqtt.Version, q mqtt.QoS) (frame []byte, idAt int) {
	f := formOf(v, q)
	if len(sc.frames[f]) == 0 {
		expiry, _ := sc.m.remaining(sc.now.UnixNano())
		x := variant{qos: q}
		p := sc.m.forward(&x, expiry)
		if p.Size(v) > mqtt.MaxPacketSize {
			return nil, 0
		}
		sc.frames[f] = p.Append(sc.frames[f][:0], v)
		sc.frames[f][0] &^= 0x0F
	}
	frame = sc.frames[f]
	idAt = 1
	for frame[idAt]&0x80 != 0 {
		idAt++
	}
	return frame, idAt + 1 + 2 + len(sc.m.topic)
}
