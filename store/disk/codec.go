package disk

import (
	"encoding/binary"
	"errors"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
)

// kindMark is a change to nothing: it says up to where the log was durable
// when its batch was begun. Seq is the offset, Message the segment.
const kindMark store.Kind = 0

// kindMoved is PutMessage and Commit in one, so that no failure can part them:
// what the cleaner makes of a message.
const kindMoved store.Kind = 128

var errOp = errors.New("disk: not a change")

// appendOp encodes op. Numbers are varints, strings have their length in front.
func appendOp(b []byte, op *store.Op) []byte {
	b = append(b, byte(op.Kind))
	switch op.Kind {
	case kindMark:
		return uvarints(b, uint64(op.Message), op.Seq)
	case store.PutSession:
		return appendSession(b, op.Put)
	case store.PutMessage, kindMoved:
		return appendMessage(uvarints(b, uint64(op.Message)), op.Body)
	case store.Retain:
		return text(uvarints(b, uint64(op.Message)), op.Filter)
	case store.Unretain:
		return text(b, op.Filter)
	}
	b = uvarints(b, uint64(op.Session))
	switch op.Kind {
	case store.PutSubscription:
		s := op.Subscription
		b = text(b, s.Filter)
		b = append(b, byte(s.QoS), s.RetainHandling, flags(s.NoLocal, s.RetainAsPublished))
		b = uvarints(b, uint64(s.ID), uint64(s.Sent), uint64(s.Owed))
	case store.EndSubscription:
		b = text(b, op.Filter)
	case store.Queue:
		b = appendEntry(b, op.Entry)
	case store.Commit:
		b = uvarints(b, uint64(op.Message), uint64(op.PacketID), op.Seq)
		b = append(b, flags(op.WillSaid))
	case store.Advance:
		b = uvarints(b, op.Seq, uint64(op.PacketID))
		b = append(b, byte(op.Stage))
	case store.Done:
		b = uvarints(b, op.Seq)
	case store.Release:
		b = uvarints(b, uint64(op.PacketID))
	}
	return b
}

func appendSession(b []byte, s *store.Session) []byte {
	b = text(uvarints(b, uint64(s.ID)), s.Client)
	b = uvarints(b, uint64(s.Expiry), uint64(s.Away))
	b = append(b, flags(s.Will != nil))
	if w := s.Will; w != nil {
		b = text(uvarints(b, uint64(w.Delay)), w.Username)
		b = appendMessage(append(b, byte(w.Version)), &w.Body)
	}
	return b
}

func appendMessage(b []byte, m *store.Message) []byte {
	b = append(b, byte(m.QoS), flags(m.Retain, m.Expires))
	b = uvarints(b, uint64(m.Arrived), uint64(m.Expiry))
	b = text(b, m.Origin)
	b = bytesOf(b, m.Topic)
	b = bytesOf(b, m.Properties)
	return bytesOf(b, m.Payload)
}

func appendEntry(b []byte, e *store.Entry) []byte {
	b = uvarints(b, e.Seq, uint64(e.MessageID), uint64(e.PacketID))
	b = append(b, byte(e.QoS), byte(e.Stage), flags(e.Retain))
	b = text(b, e.Share)
	b = uvarints(b, uint64(len(e.IDs)))
	for _, id := range e.IDs {
		b = uvarints(b, uint64(id))
	}
	return b
}

func uvarints(b []byte, all ...uint64) []byte {
	for _, n := range all {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func text(b []byte, s string) []byte    { return append(uvarints(b, uint64(len(s))), s...) }
func bytesOf(b []byte, s []byte) []byte { return append(uvarints(b, uint64(len(s))), s...) }

func flags(all ...bool) (f byte) {
	for i, is := range all {
		if is {
			f |= 1 << i
		}
	}
	return f
}

// A decoder decodes one change after the other into the same memory: reading a
// large log allocates next to nothing.
type decoder struct {
	op    store.Op
	body  store.Message
	entry store.Entry
}

// decodeOp is the reverse of appendOp. Byte slices are views of b.
func decodeOp(b []byte) (*store.Op, error) { return new(decoder).decode(b) }

// decode is decodeOp; what it returned before is gone.
func (d *decoder) decode(b []byte) (*store.Op, error) {
	r := reader{b: b}
	d.op = store.Op{Kind: store.Kind(r.byte())}
	op := &d.op
	switch op.Kind {
	case kindMark:
		op.Message, op.Seq = store.MessageID(r.uint()), r.uint()
	case store.PutSession:
		op.Put = r.session()
		op.Session = op.Put.ID
	case store.PutMessage, kindMoved:
		op.Message = store.MessageID(r.uint())
		r.message(&d.body)
		op.Body = &d.body
	case store.Retain:
		op.Message = store.MessageID(r.uint())
		op.Filter = string(r.bytes())
	case store.Unretain:
		op.Filter = string(r.bytes())
	case store.Queue:
		op.Session = store.SessionID(r.uint())
		r.entry(&d.entry)
		op.Entry, op.Seq = &d.entry, d.entry.Seq
	default:
		op.Session = store.SessionID(r.uint())
		r.change(op)
	}
	if r.bad || len(r.b) > 0 {
		return nil, errOp
	}
	return op, nil
}

// change reads the rest of a change to one session.
func (r *reader) change(op *store.Op) {
	switch op.Kind {
	case store.EndSession:
	case store.PutSubscription:
		s := &store.Subscription{Filter: string(r.bytes()), QoS: mqtt.QoS(r.byte()), RetainHandling: r.byte()}
		f := r.byte()
		s.NoLocal, s.RetainAsPublished = f&1 != 0, f&2 != 0
		s.ID = uint32(r.uint())
		s.Sent, s.Owed = store.MessageID(r.uint()), store.MessageID(r.uint())
		op.Subscription = s
	case store.EndSubscription:
		op.Filter = string(r.bytes())
	case store.Commit:
		op.Message = store.MessageID(r.uint())
		op.PacketID, op.Seq = store.PacketID(r.uint()), r.uint()
		op.WillSaid = r.byte()&1 != 0
	case store.Advance:
		op.Seq = r.uint()
		op.PacketID = store.PacketID(r.uint())
		op.Stage = store.Stage(r.byte())
	case store.Done:
		op.Seq = r.uint()
	case store.Release:
		op.PacketID = store.PacketID(r.uint())
	default:
		r.bad = true
	}
}

// A reader takes fields off the front of b; bad says one was not there.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) session() *store.Session {
	s := &store.Session{ID: store.SessionID(r.uint()), Client: string(r.bytes())}
	s.Expiry, s.Away = uint32(r.uint()), int64(r.uint())
	if r.byte()&1 != 0 {
		s.Will = &store.Will{Delay: uint32(r.uint()), Username: string(r.bytes()), Version: mqtt.Version(r.byte())}
		r.message(&s.Will.Body)
	}
	return s
}

func (r *reader) message(m *store.Message) {
	*m = store.Message{QoS: mqtt.QoS(r.byte())}
	f := r.byte()
	m.Retain, m.Expires = f&1 != 0, f&2 != 0
	m.Arrived, m.Expiry = int64(r.uint()), uint32(r.uint())
	m.Origin = string(r.bytes())
	m.Topic, m.Properties, m.Payload = r.bytes(), r.bytes(), r.bytes()
}

func (r *reader) entry(e *store.Entry) {
	*e = store.Entry{Seq: r.uint(), MessageID: store.MessageID(r.uint()), PacketID: store.PacketID(r.uint()), IDs: e.IDs[:0]}
	e.QoS, e.Stage, e.Retain = mqtt.QoS(r.byte()), store.Stage(r.byte()), r.byte()&1 != 0
	e.Share = string(r.bytes())
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return
	}
	for range n {
		e.IDs = append(e.IDs, uint32(r.uint()))
	}
}
