// Package storetest proves that a store keeps what package store says.
package storetest

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/memory"
)

// A Maker opens a store in a place of its own. reopen closes it, or lets it be
// if crash is set and it can be left without that, and opens it again.
type Maker func(t *testing.T) (st store.Store, reopen func(crash bool) store.Store)

// Run runs every test.
func Run(t *testing.T, open Maker) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, open Maker)
	}{
		{"life of a message", life},
		{"payload is stored once", once},
		{"commit makes entries count", commits},
		{"wills are said once", wills},
		{"a message moves from one session to another", moves},
		{"a session ends with all it has", ends},
		{"load in pieces", pieces},
		{"random changes", random},
		{"many at once", concurrent},
		{"positions become durable", positions},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
}

// Dump writes what a store holds as lines that can be compared.
func Dump(t testing.TB, st store.Store) string {
	t.Helper()
	var lines []string
	err := st.Sessions(func(s *store.Snapshot) bool {
		lines = append(lines, dumpSession(t, st, s))
		return true
	})
	err = errors.Join(err, st.Retained(func(_ store.MessageID, m *store.Message) bool {
		lines = append(lines, "retained "+dumpMessage(m))
		return true
	}))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func dumpSession(t testing.TB, st store.Store, s *store.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "session %d %q expiry %d away %d", s.ID, s.Client, s.Expiry, s.Away)
	if w := s.Will; w != nil {
		fmt.Fprintf(&b, " will %d %s %v %s", w.Delay, w.Username, w.Version, dumpMessage(&w.Body))
	}
	slices.SortFunc(s.Subscriptions, func(a, b store.Subscription) int { return strings.Compare(a.Filter, b.Filter) })
	for _, sub := range s.Subscriptions {
		fmt.Fprintf(&b, "\n  %+v", sub)
	}
	held, sent, err := st.Exchanges(s.ID)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(held)
	fmt.Fprintf(&b, "\n  held %v", held)
	queued, err := st.Load(s.ID, 0, 1<<30, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) != s.Inflight || len(queued) != s.Queued || len(held) != s.Held {
		t.Fatalf("%d held, %d in flight, %d queued, but the snapshot says %+v", len(held), len(sent), len(queued), s)
	}
	for _, e := range append(sent, queued...) {
		fmt.Fprintf(&b, "\n  %d: packet %d stage %d qos %d retain %v ids %v share %q", e.Seq, e.PacketID, e.Stage, e.QoS, e.Retain, e.IDs, e.Share)
		if e.Message != nil {
			b.WriteString(" " + dumpMessage(e.Message))
		}
	}
	return b.String()
}

func dumpMessage(m *store.Message) string {
	return fmt.Sprintf("%s=%s %q from %q at %d expires %v %d qos %d retain %v", m.Topic, short(m.Payload), m.Properties, m.Origin, m.Arrived,
		m.Expires, m.Expiry, m.QoS, m.Retain)
}

func short(b []byte) string {
	if len(b) < 40 {
		return strconv.Quote(string(b))
	}
	return fmt.Sprintf("%d bytes, crc %08x", len(b), crc32.ChecksumIEEE(b))
}

// A Script makes changes as a broker might, by chance.
type Script struct {
	rng      *rand.Rand
	clock    int64
	session  store.SessionID
	message  store.MessageID
	seq      map[store.SessionID]uint64
	live     []store.SessionID
	queued   map[store.SessionID][]uint64
	large    int
	reserved []store.Op
}

// NewScript returns the script of a seed, with payloads up to large bytes.
func NewScript(seed uint64, large int) *Script {
	return &Script{
		rng: rand.New(rand.NewPCG(seed, 1)), large: large,
		seq: map[store.SessionID]uint64{}, queued: map[store.SessionID][]uint64{},
	}
}

// Whole reports whether no message is under way that is to be committed: a
// broker that begins again does not go on with those of the one before.
func (c *Script) Whole() bool { return len(c.reserved) == 0 }

// Restart gives up a message that is under way, as a broker that dies does, and
// goes on with the sessions it finds.
func (c *Script) Restart(st store.Store) {
	c.reserved, c.live = nil, nil
	st.Sessions(func(s *store.Snapshot) bool {
		c.live = append(c.live, s.ID)
		return true
	})
	slices.Sort(c.live)
}

// Next returns the next change.
func (c *Script) Next() *store.Op {
	if len(c.reserved) > 0 {
		op := c.reserved[0]
		c.reserved = c.reserved[1:]
		return &op
	}
	r := c.rng
	if len(c.live) == 0 || r.IntN(30) == 0 && len(c.live) < 8 {
		c.session++
		c.live = append(c.live, c.session)
		return c.put(c.session)
	}
	id := c.live[r.IntN(len(c.live))]
	switch r.IntN(14) {
	case 0:
		return c.put(id)
	case 1:
		if r.IntN(6) == 0 {
			c.live = slices.DeleteFunc(c.live, func(s store.SessionID) bool { return s == id })
			return &store.Op{Kind: store.EndSession, Session: id}
		}
		return &store.Op{Kind: store.Commit, Session: id, WillSaid: true}
	case 2:
		return &store.Op{Kind: store.PutSubscription, Session: id, Subscription: &store.Subscription{
			Filter: fmt.Sprint("f/", r.IntN(5)), QoS: mqtt.QoS(r.IntN(3)), NoLocal: r.IntN(2) == 0, RetainAsPublished: r.IntN(2) == 0,
			RetainHandling: byte(r.IntN(3)), ID: uint32(r.IntN(300)),
			Sent: store.MessageID(r.IntN(2)), Owed: store.MessageID(r.IntN(200)),
		}}
	case 3:
		return &store.Op{Kind: store.EndSubscription, Session: id, Filter: fmt.Sprint("f/", r.IntN(5))}
	case 4:
		return &store.Op{Kind: store.Release, Session: id, PacketID: store.PacketID(1 + r.IntN(4))}
	case 5:
		return &store.Op{Kind: store.Unretain, Filter: fmt.Sprint("t/", r.IntN(5))}
	case 6, 7, 8, 9:
		return c.publish(id)
	default:
		return c.progress(id)
	}
}

func (c *Script) put(id store.SessionID) *store.Op {
	c.clock++
	s := &store.Session{ID: id, Client: fmt.Sprint("client-", id%5), Expiry: uint32(c.rng.IntN(100)), Away: c.clock}
	if c.rng.IntN(2) == 0 {
		s.Will = &store.Will{Body: *c.body("will"), Delay: uint32(c.rng.IntN(9)), Username: "user", Version: mqtt.V5}
	}
	return &store.Op{Kind: store.PutSession, Session: id, Put: s}
}

func (c *Script) body(topic string) *store.Message {
	c.clock++
	n := 0
	if c.large > 0 {
		n = c.rng.IntN(c.large)
	}
	return &store.Message{
		Topic: []byte(topic), Payload: slices.Repeat([]byte{byte(c.clock)}, n), Properties: []byte("p"), Origin: "o",
		Arrived: c.clock, Expires: n%2 == 0, Expiry: uint32(n), QoS: mqtt.QoS(n % 3), Retain: n%3 == 0,
	}
}

// publish is a message to some sessions, perhaps retained, perhaps never committed.
func (c *Script) publish(by store.SessionID) *store.Op {
	c.message++
	topic := fmt.Sprint("t/", c.rng.IntN(5))
	first := store.Op{Kind: store.PutMessage, Message: c.message, Body: c.body(topic)}
	if c.rng.IntN(3) == 0 {
		c.reserved = append(c.reserved, store.Op{Kind: store.Retain, Message: c.message, Filter: topic})
	}
	for _, to := range c.live {
		if c.rng.IntN(2) == 0 {
			continue
		}
		c.seq[to]++
		e := store.Entry{
			Seq: c.seq[to], MessageID: c.message, QoS: mqtt.QoS(1 + c.rng.IntN(2)), Retain: c.rng.IntN(2) == 0, IDs: []uint32{1, 300},
		}
		if c.rng.IntN(2) == 0 {
			e.PacketID, e.Share = store.PacketID(1+c.rng.IntN(100)), "$share/g/x"
		}
		c.queued[to] = append(c.queued[to], e.Seq)
		c.reserved = append(c.reserved, store.Op{Kind: store.Queue, Session: to, Entry: &e, Seq: e.Seq})
	}
	if c.rng.IntN(10) > 0 {
		op := store.Op{Kind: store.Commit, Message: c.message}
		if c.rng.IntN(2) == 0 {
			op.Session, op.PacketID = by, store.PacketID(1+c.rng.IntN(4))
		}
		if q := c.queued[by]; len(q) > 0 && c.rng.IntN(4) == 0 {
			op.Session, op.Seq = by, q[c.rng.IntN(len(q))]
		}
		c.reserved = append(c.reserved, op)
	}
	return &first
}

func (c *Script) progress(id store.SessionID) *store.Op {
	q := c.queued[id]
	if len(q) == 0 {
		return &store.Op{Kind: store.Done, Session: id, Seq: 1}
	}
	i := c.rng.IntN(min(len(q), 3))
	op := &store.Op{Kind: store.Done, Session: id, Seq: q[i]}
	if c.rng.IntN(3) > 0 {
		op.Kind, op.PacketID, op.Stage = store.Advance, store.PacketID(1+c.rng.IntN(100)), store.Stage(1+c.rng.IntN(2))
		return op
	}
	c.queued[id] = slices.Delete(q, i, i+1)
	return op
}

// Model returns a memory store with the same changes.
func Model(ops []*store.Op) *memory.Store {
	m := memory.New()
	for _, op := range ops {
		m.Append(op)
	}
	return m
}

func random(t *testing.T, open Maker) {
	for seed := range uint64(20) {
		st, reopen := open(t)
		script, model := NewScript(seed, 3000), memory.New()
		last := 0
		for i := range 600 {
			op := script.Next()
			st.Append(op)
			model.Append(op)
			if i%200 >= 150 && script.Whole() && i-last >= 100 {
				last = i
				model.Close() // drops what was not committed, as reopening does
				st = reopen(i%2 == 0)
			}
			if i%50 == 0 {
				same(t, fmt.Sprintf("seed %d, change %d", seed, i), Dump(t, st), Dump(t, model))
			}
		}
		model.Close()
		st = reopen(false)
		same(t, fmt.Sprintf("seed %d, at the end", seed), Dump(t, st), Dump(t, model))
		if s, m := st.Last(); s > script.session || m > script.message {
			t.Errorf("the last session is %d, message %d; there were %d and %d", s, m, script.session, script.message)
		}
		st.Close()
	}
}

func same(t *testing.T, when, got, want string) {
	t.Helper()
	if diff := Diff(got, want); len(diff) > 0 {
		t.Fatalf("%s: not what it should be\n%s", when, strings.Join(diff[:min(len(diff), 20)], "\n"))
	}
}

// Diff compares two dumps line by line: + is too much in got, - is missing.
func Diff(got, want string) (diff []string) {
	if got == want {
		return nil
	}
	has := func(all, line string) bool { return strings.Contains("\n"+all+"\n", "\n"+line+"\n") }
	for line := range strings.SplitSeq(got, "\n") {
		if !has(want, line) {
			diff = append(diff, "+ "+line)
		}
	}
	for line := range strings.SplitSeq(want, "\n") {
		if !has(got, line) {
			diff = append(diff, "- "+line)
		}
	}
	return append(diff, "(the rest may be in another order)")
}

// safe waits until pos is durable.
func safe(t *testing.T, st store.Store, pos store.Position) {
	t.Helper()
	done := make(chan struct{})
	st.After(pos, func() { close(done) })
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not become durable")
	}
}

// concurrent has many append at once; each finds its own when it is durable.
func concurrent(t *testing.T, open Maker) {
	st, reopen := open(t)
	var wg sync.WaitGroup
	const clients, each = 20, 50
	for c := range clients {
		wg.Go(func() {
			id := store.SessionID(c + 1)
			st.Append(&store.Op{Kind: store.PutSession, Session: id, Put: &store.Session{ID: id, Client: fmt.Sprint(c), Expiry: 9}})
			for i := range each {
				m := store.MessageID(c*each + i + 1)
				st.Append(&store.Op{Kind: store.PutMessage, Message: m, Body: &store.Message{Topic: []byte("t"), Payload: []byte(fmt.Sprint(m))}})
				st.Append(&store.Op{Kind: store.Queue, Session: id, Entry: &store.Entry{Seq: uint64(i + 1), MessageID: m, QoS: 1}})
				pos := st.Append(&store.Op{Kind: store.Commit, Message: m})
				if i%10 == 0 {
					safe(t, st, pos)
				}
				got, err := st.Load(id, uint64(i+1), 1, 1)
				if err != nil || len(got) != 1 || string(got[0].Message.Payload) != fmt.Sprint(m) {
					t.Errorf("client %d, message %d: %v %v", c, i, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	st = reopen(false)
	n := 0
	st.Sessions(func(s *store.Snapshot) bool { n += s.Queued; return true })
	if n != clients*each {
		t.Errorf("%d messages are left of %d", n, clients*each)
	}
	st.Close()
}

func positions(t *testing.T, open Maker) {
	st, reopen := open(t)
	op := NewScript(1, 10)
	var last store.Position
	for range 50 {
		pos := st.Append(op.Next())
		if pos <= last {
			t.Fatalf("position %d comes after %d", pos, last)
		}
		last = pos
	}
	safe(t, st, last)
	if d := st.Durable(); d < last {
		t.Errorf("durable up to %d, but %d was said to be", d, last)
	}
	want := Dump(t, reopen(true))
	st = reopen(false)
	same(t, "opened again", Dump(t, st), want)
	if st.Err() != nil {
		t.Error(st.Err())
	}
	st.Close()
}
