package client

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
)

// A Store keeps what must survive the program: messages not acknowledged yet,
// how far their exchanges have come, and the QoS 2 identifiers received.
// A Client calls it from one goroutine at a time.
type Store interface {
	// Apply makes the changes, in order; after a crash either all of them
	// count or none. When it returns they are as durable as the store
	// promises. ops and their values are the caller's again then.
	Apply(ops []Op) error

	// Load calls yield for every record, by ascending key, until it returns
	// an error, and returns that. The value is yield's to keep.
	Load(yield func(key uint64, value []byte) error) error

	// Close releases the store; the records stay.
	Close() error
}

// An Op puts a record, replacing one with the same key, or deletes it, which
// may be gone already.
type Op struct {
	Key    uint64
	Value  []byte
	Delete bool
}

// Keys: what it is in the first byte, which one in the rest. Outgoing messages
// are numbered in the order they were published.
const (
	kindMessage = 1 << 56
	kindWindow  = 2 << 56
	kindHeld    = 3 << 56
	kindMask    = 0xFF << 56
)

func messageKey(id uint64) uint64     { return kindMessage | id }
func windowKey(id uint64) uint64      { return kindWindow | id }
func heldKey(id mqtt.PacketID) uint64 { return kindHeld | uint64(id) }
func windowValue(id mqtt.PacketID, st flow.Stage) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(id)), byte(st))
}

// load takes up what an earlier program left.
func (s *session) load() error {
	type place struct {
		id    mqtt.PacketID
		stage flow.Stage
	}
	messages := map[uint64]*Pending{}
	places := map[uint64]place{}
	var order []uint64
	err := s.store.Load(func(key uint64, v []byte) error {
		n := key &^ kindMask
		switch key & kindMask {
		case kindMessage:
			r := record(v)
			if err := r.check(); err != nil {
				return err
			}
			messages[n] = s.restored(n, r)
			order = append(order, n)
		case kindWindow:
			if len(v) != 3 || v[0]|v[1] == 0 {
				return errRecord
			}
			places[n] = place{mqtt.PacketID(binary.BigEndian.Uint16(v)), flow.Stage(v[2])}
			if messages[n] == nil {
				order = append(order, n)
			}
		case kindHeld:
			s.receiving.Restore(mqtt.PacketID(n))
			s.known = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	slices.Sort(order)
	s.sending.Init(min(max(s.set.MaxInflight, len(places))+requestRoom, mqtt.MaxPacketID), nil)
	for _, n := range order {
		s.lastID = max(s.lastID, n)
		p, at := messages[n], places[n]
		switch {
		case at.id == 0:
			s.queue.push(p)
			s.watchLocked(p)
		case at.stage == flow.AwaitPubcomp:
			if p == nil {
				p = s.restored(n, nil)
			}
			p.stage = Released
			s.released[at.id] = p
			s.sending.Restore(at.id, at.stage, exchange{})
			s.known = true
		case p != nil:
			p.stage = InFlight
			s.sending.Restore(at.id, at.stage, exchange{p: p})
			s.known = true
		default:
			continue
		}
		s.messages++
		s.bytes += len(p.record)
		s.busy.Add(1)
	}
	return nil
}

// closeStore is the last the store hears.
func (s *session) closeStore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	if s.store != nil {
		s.store.Close()
	}
}

// restored is a message nobody waits for: its end is an event.
func (s *session) restored(id uint64, r record) *Pending {
	p := &Pending{s: s, id: id, qos: mqtt.AtLeastOnce, record: r, done: make(chan struct{}), shared: true}
	if r != nil {
		p.topic, p.qos = string(r.topic()), r.qos()
	}
	return p
}

// A MemoryStore outlives a Client and not the program: for tests, and to hand
// a session from one Client to the next. The zero value is ready.
type MemoryStore struct {
	mu      sync.Mutex
	records map[uint64][]byte
}

// Apply makes the changes.
func (m *MemoryStore) Apply(ops []Op) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = map[uint64][]byte{}
	}
	for _, op := range ops {
		if op.Delete {
			delete(m.records, op.Key)
		} else {
			m.records[op.Key] = slices.Clone(op.Value)
		}
	}
	return nil
}

// Load yields the records by ascending key.
func (m *MemoryStore) Load(yield func(uint64, []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return loadSorted(m.records, yield)
}

// Close does nothing.
func (m *MemoryStore) Close() error { return nil }

func loadSorted(records map[uint64][]byte, yield func(uint64, []byte) error) error {
	keys := make([]uint64, 0, len(records))
	for k := range records {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare[uint64])
	for _, k := range keys {
		if err := yield(k, slices.Clone(records[k])); err != nil {
			return err
		}
	}
	return nil
}

var errStoreClosed = errors.New("client: the store is closed")
