package flow

import (
	"unsafe"

	"github.com/midgemq/midge/mqtt"
)

// An Arrival is what Inbound makes of a QoS 1 or 2 PUBLISH.
type Arrival uint8

const (
	Fresh     Arrival = iota // a new message: deliver it, then Ack
	Duplicate                // a QoS 2 message already owned: Ack again, deliver nothing
	Clash                    // a QoS 1 message under the identifier of an open QoS 2 exchange
	Excess                   // the peer ran over the Receive Maximum it was told
)

// A Receipt is one acknowledgement, PUBACK or PUBREC by QoS, ready to be sent.
type Receipt struct {
	ID   mqtt.PacketID
	QoS  mqtt.QoS
	Code mqtt.ReasonCode
}

// Inbound is the window of messages the peer sent: which are not acknowledged
// yet, and which QoS 2 identifiers are held until PUBREL.
// The zero value is ready for Resume and grows on demand.
type Inbound struct {
	due   []arrived       // ring of messages not acknowledged yet, in order of arrival
	held  []mqtt.PacketID // QoS 2 identifiers owned, PUBREL outstanding
	old   int             // how many of them no PUBLISH of this connection named: the first
	head  uint16
	n     uint16
	limit uint16 // the Receive Maximum this end announced
	open  uint16 // messages of this connection that count against limit
}

type arrived struct {
	Receipt
	ready bool
}

// An InboundStorage is memory for windows that never grow.
type InboundStorage struct {
	due  []arrived
	held []mqtt.PacketID
}

// MakeInboundStorage takes all memory, at once, for windows of together so many
// messages that are not acknowledged yet, and so many QoS 2 identifiers held.
func MakeInboundStorage(due, held int) InboundStorage {
	return InboundStorage{make([]arrived, due), make([]mqtt.PacketID, held)}
}

// InboundDue and InboundHeld are the two tables of an InboundStorage, in bytes
// a message.
const (
	InboundDue  = int(unsafe.Sizeof(arrived{}))
	InboundHeld = int(unsafe.Sizeof(mqtt.PacketID(0)))
)

// InitFixed cuts the memory for one window out of s: nothing is allocated as
// long as no more messages are unacknowledged, or held, than that.
func (in *Inbound) InitFixed(due, held int, s *InboundStorage) {
	*in = Inbound{due: s.due[:due:due], held: s.held[:0:held]}
	s.due, s.held = s.due[due:], s.held[held:]
}

// Open returns how many messages of this connection count against the Receive
// Maximum.
func (in *Inbound) Open() int { return int(in.open) }

// Idle reports whether nothing is unacknowledged and no identifier is held.
func (in *Inbound) Idle() bool { return in.n == 0 && len(in.held) == 0 }

// Resume begins a connection on which this end enforces receiveMaximum; a
// peer that cannot be told of one, before 5.0, is held to 65,535. Held QoS 2
// identifiers stay; what was not acknowledged at QoS 1 is forgotten, since the
// peer sends it again.
func (in *Inbound) Resume(receiveMaximum uint16) {
	in.limit = receiveMaximum
	in.head, in.n, in.open = 0, 0, 0
	in.old = len(in.held)
}

// Reset forgets everything, as when the session ends.
func (in *Inbound) Reset() { in.head, in.n, in.open, in.old, in.held = 0, 0, 0, 0, in.held[:0] }

// Publish takes the identifier of an arriving message.
func (in *Inbound) Publish(q mqtt.QoS, id mqtt.PacketID) Arrival {
	h := in.find(id)
	if h >= 0 && q != mqtt.ExactlyOnce {
		return Clash
	}
	if h < in.old { // none, or one of an earlier connection
		// [MQTT-3.3.4-7, 5.0] counts the PUBLISH packets of this connection.
		if in.open >= in.limit {
			return Excess
		}
		in.open++
	}
	if h >= 0 {
		// [MQTT-4.3.3-10, 5.0] [MQTT-4.3.3-2, 3.1.1]
		if h < in.old {
			in.held = append(append(in.held[:h], in.held[h+1:]...), id)
			in.old--
		}
		if !in.awaits(id) {
			in.arrive(q, id)
		}
		return Duplicate
	}
	if q == mqtt.ExactlyOnce {
		if len(in.held) >= int(in.limit) {
			in.forgetOldest()
		}
		in.held = append(in.held, id)
	}
	in.arrive(q, id)
	return Fresh
}

// Pass is Publish, Ack and Next in one, for a new message that is acknowledged
// with success before anything else. False is one that has to go their way, and
// changes nothing.
func (in *Inbound) Pass(q mqtt.QoS, id mqtt.PacketID) bool {
	if in.n > 0 || in.open >= in.limit || in.find(id) >= 0 {
		return false
	}
	if q == mqtt.ExactlyOnce {
		if len(in.held) >= int(in.limit) {
			return false
		}
		in.held = append(in.held, id)
		in.open++
	}
	return true
}

// Ack marks a message as dealt with. Its receipt comes out of Next once all
// before it are marked too.
func (in *Inbound) Ack(id mqtt.PacketID, code mqtt.ReasonCode) {
	for i := range in.n {
		a := in.at(i)
		if a.ID == id && !a.ready {
			a.ready, a.Code = true, code
			return
		}
	}
}

// Next returns the next acknowledgement to send, in the order the messages
// came in [MQTT-4.6.0-2] [MQTT-4.6.0-3].
func (in *Inbound) Next() (r Receipt, ok bool) {
	if in.n == 0 || !in.due[in.head].ready {
		return r, false
	}
	r = in.due[in.head].Receipt
	in.head = uint16((int(in.head) + 1) % len(in.due))
	in.n--
	switch {
	case r.QoS == mqtt.AtLeastOnce:
		in.open--
	case r.Code.Failed():
		// [MQTT-4.3.3-9, 5.0] a refused identifier is free again.
		in.drop(in.find(r.ID))
	}
	return r, true
}

// Pubrel ends a QoS 2 exchange: PUBCOMP is due. It reports false for an
// identifier that is not held.
func (in *Inbound) Pubrel(id mqtt.PacketID) bool {
	h := in.find(id)
	if h < 0 {
		return false
	}
	in.drop(h)
	return true
}

// Holds reports whether id names an open QoS 2 exchange.
func (in *Inbound) Holds(id mqtt.PacketID) bool { return in.find(id) >= 0 }

// Held calls yield for every held QoS 2 identifier.
func (in *Inbound) Held(yield func(mqtt.PacketID) bool) {
	for _, id := range in.held {
		if !yield(id) {
			return
		}
	}
}

// Restore puts back an identifier a store remembered, before Resume.
func (in *Inbound) Restore(id mqtt.PacketID) {
	if in.find(id) < 0 {
		in.held = append(in.held, id)
	}
}

// awaits reports whether a message with id is not acknowledged yet; one
// acknowledgement then answers its repeats too, and due stays bounded.
func (in *Inbound) awaits(id mqtt.PacketID) bool {
	for i := range in.n {
		if in.at(i).ID == id {
			return true
		}
	}
	return false
}

func (in *Inbound) arrive(q mqtt.QoS, id mqtt.PacketID) {
	if int(in.n) == len(in.due) {
		bigger := make([]arrived, max(4, 2*len(in.due)))
		for i := range in.n {
			bigger[i] = *in.at(i)
		}
		in.due, in.head = bigger, 0
	}
	in.n++
	*in.at(in.n - 1) = arrived{Receipt: Receipt{ID: id, QoS: q}}
}

func (in *Inbound) at(i uint16) *arrived { return &in.due[(int(in.head)+int(i))%len(in.due)] }

func (in *Inbound) find(id mqtt.PacketID) int {
	for i, held := range in.held {
		if held == id {
			return i
		}
	}
	return -1
}

func (in *Inbound) drop(h int) {
	if h < 0 {
		return
	}
	if h < in.old {
		in.old--
	} else {
		in.open--
	}
	in.held = append(in.held[:h], in.held[h+1:]...)
}

// forgetOldest keeps held within limit. Only identifiers of earlier
// connections can be surplus: those of this one are below the limit, and a
// peer that still knew the others would have sent them again first.
func (in *Inbound) forgetOldest() {
	if in.old > 0 {
		in.drop(0)
	}
}
