package sim

import (
	"fmt"
	"sync"
	"time"

	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
)

// A Lie is something that is deliberately broken, between the server and what
// it stands on. The simulation has to find it out.
type Lie int

// The lies.
const (
	Honest           Lie = iota
	AckEarly             // acknowledge before it is on the disk
	ForgetDup            // send again without DUP
	ForgetIdentifier     // do not store which QoS 2 identifiers are held
	RetainLate           // do not sync retained messages
	WillAnyway           // publish the will after a goodbye
	lies
)

func (l Lie) String() string {
	if l > lies {
		return fmt.Sprintf("changes of kind %d lost", l-lies)
	}
	return [...]string{
		"honest", "acknowledge before persist", "forget DUP on resend", "QoS 2 identifier not stored",
		"retained not synced", "will fired on clean disconnect",
	}[l]
}

// toClient is what becomes of what the server writes: whole packets.
func (l Lie) toClient(p []byte) []byte {
	if l != ForgetDup {
		return p
	}
	p = append([]byte(nil), p...)
	for rest := p; len(rest) > 0; {
		h, err := packet.ReadHeader(rest)
		if err != nil || h.Size+h.Len > len(rest) {
			break
		}
		if h.Type == packet.PUBLISH {
			rest[0] &^= 8
		}
		rest = rest[h.Size+h.Len:]
	}
	return p
}

// toServer is what becomes of what the server reads. A DISCONNECT comes alone
// or last.
func (l Lie) toServer(p []byte) int {
	if l != WillAnyway {
		return len(p)
	}
	for at := 0; at < len(p); {
		h, err := packet.ReadHeader(p[at:])
		if err != nil || at+h.Size+h.Len > len(p) {
			break
		}
		if h.Type == packet.DISCONNECT {
			return at
		}
		at += h.Size + h.Len
	}
	return len(p)
}

// store is what becomes of the store.
func (l Lie) store(st store.Store) store.Store {
	if l > lies {
		return losing{st, store.Kind(l - lies)}
	}
	switch l {
	case AckEarly:
		return early{st}
	case ForgetIdentifier:
		return forgetful{st}
	case RetainLate:
		return &late{Store: st, pending: map[string]*time.Timer{}, bodies: map[store.MessageID]*store.Message{}}
	}
	return st
}

// Losing is the lie that all changes of a kind are kept.
func Losing(kind store.Kind) Lie { return lies + Lie(kind) }

// A losing store keeps no change of one kind.
type losing struct {
	store.Store
	kind store.Kind
}

func (l losing) Append(op *store.Op) store.Position {
	if op.Kind == l.kind {
		return 1
	}
	return l.Store.Append(op)
}

// An early store says that everything is durable at once.
type early struct{ store.Store }

func (early) Durable() store.Position           { return store.Settled }
func (early) After(_ store.Position, fn func()) { go fn() }

// A forgetful store does not keep QoS 2 identifiers.
type forgetful struct{ store.Store }

func (f forgetful) Append(op *store.Op) store.Position {
	if op.Kind == store.Commit {
		k := *op
		k.PacketID = 0
		op = &k
	}
	return f.Store.Append(op)
}

// A late store keeps retained messages half a minute after it should have.
type late struct {
	store.Store

	mu      sync.Mutex
	pending map[string]*time.Timer             // guarded by mu, by topic
	bodies  map[store.MessageID]*store.Message // guarded by mu
}

const apart = store.MessageID(1) << 40 // of the numbers it gives

func (l *late) Append(op *store.Op) store.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch op.Kind {
	case store.PutMessage:
		body := *op.Body
		l.bodies[op.Message] = &body
	case store.Retain, store.Unretain:
		if t := l.pending[op.Filter]; t != nil {
			t.Stop()
			delete(l.pending, op.Filter)
		}
		if op.Kind == store.Unretain {
			break
		}
		id, topic, body := op.Message+apart, op.Filter, l.bodies[op.Message]
		l.pending[topic] = time.AfterFunc(30*time.Second, func() {
			l.Store.Append(&store.Op{Kind: store.PutMessage, Message: id, Body: body})
			l.Store.Append(&store.Op{Kind: store.Retain, Message: id, Filter: topic})
			l.Store.Append(&store.Op{Kind: store.Commit, Message: id})
		})
		return 0
	}
	return l.Store.Append(op)
}
