package midge

import (
	"sync"
	"time"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
)

// A scratch is the working memory of one batch. A connection borrows it while
// it has packets to handle, so an idle one costs none of it.
type scratch struct {
	packets link.Packets
	now     time.Time

	m      message  // the PUBLISH at hand, in views
	kept   *message // its copy on the heap, once somebody needed one
	props  []byte
	frames [forms][]byte // the PUBLISH at hand, encoded; empty until wanted
	codes  []byte        // reason codes of the SUBACK or UNSUBACK at hand

	// With a store: what it knows of the message at hand; see keeper.
	number   store.MessageID
	saysWill store.SessionID // the message is that session's will
	asked    store.Position  // of what it changed apart from that
	promise  *promise

	leaves    store.SessionID // with its commit the message leaves this session
	leavesSeq uint64          // where it was at this place; 0: nowhere
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// keepScratch is the largest encoded message whose memory a scratch keeps.
const keepScratch = 64 << 10

func (sc *scratch) reset() *scratch {
	sc.begin()
	sc.m = message{}
	for f, b := range sc.frames {
		if cap(b) > keepScratch {
			sc.frames[f] = nil
		}
	}
	if cap(sc.props) > keepScratch {
		sc.props = nil
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
