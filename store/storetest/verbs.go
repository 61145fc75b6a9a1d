package storetest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/midgemq/midge/store"
)

// A bench is a store with one message under way and two sessions.
type bench struct {
	t      *testing.T
	st     store.Store
	reopen func(bool) store.Store
}

func newBench(t *testing.T, open Maker) *bench {
	st, reopen := open(t)
	b := &bench{t, st, reopen}
	for id := store.SessionID(1); id <= 2; id++ {
		st.Append(&store.Op{Kind: store.PutSession, Session: id, Put: &store.Session{ID: id, Client: fmt.Sprint("c", id), Expiry: 60}})
	}
	t.Cleanup(func() { b.st.Close() })
	return b
}

func (b *bench) message(id store.MessageID, payload string) {
	b.st.Append(&store.Op{Kind: store.PutMessage, Message: id, Body: &store.Message{Topic: []byte("t"), Payload: []byte(payload), QoS: 2}})
}

func (b *bench) queue(s store.SessionID, e store.Entry) {
	b.st.Append(&store.Op{Kind: store.Queue, Session: s, Entry: &e})
}

func (b *bench) commit(id store.MessageID) {
	safe(b.t, b.st, b.st.Append(&store.Op{Kind: store.Commit, Message: id}))
}

// want compares a session's entries, before and after opening the store again.
func (b *bench) want(s store.SessionID, want ...string) {
	b.t.Helper()
	for _, crash := range []bool{false, true} {
		held, sent, err := b.st.Exchanges(s)
		if err != nil {
			b.t.Fatal(err)
		}
		queued, err := b.st.Load(s, 0, 1000, math.MaxInt)
		if err != nil {
			b.t.Fatal(err)
		}
		got := []string{}
		for _, e := range append(sent, queued...) {
			payload := "-"
			if e.Message != nil {
				payload = string(e.Message.Payload)
			}
			got = append(got, fmt.Sprintf("%d/%d/%d %s", e.Seq, e.PacketID, e.Stage, payload))
		}
		for _, id := range held {
			got = append(got, fmt.Sprint("holds ", id))
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			b.t.Fatalf("session %d has %q, want %q (opened again: %v)", s, got, want, crash)
		}
		if !crash {
			b.st = b.reopen(true)
		}
	}
}

func life(t *testing.T, open Maker) {
	b := newBench(t, open)
	b.message(1, "one")
	b.queue(1, store.Entry{Seq: 1, MessageID: 1, QoS: 2})
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Commit, Message: 1, Session: 2, PacketID: 77}))
	b.want(1, "1/0/0 one")
	b.want(2, "holds 77")
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Advance, Session: 1, Seq: 1, PacketID: 5, Stage: store.Sent}))
	b.want(1, "1/5/1 one")
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Advance, Session: 1, Seq: 1, PacketID: 5, Stage: store.Released}))
	b.want(1, "1/5/2 -")
	b.st.Append(&store.Op{Kind: store.Release, Session: 2, PacketID: 77})
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Done, Session: 1, Seq: 1}))
	b.want(1)
	b.want(2)
}

func once(t *testing.T, open Maker) {
	b := newBench(t, open)
	b.message(1, strings.Repeat("x", 1000))
	before := b.st.Append(&store.Op{Kind: store.Retain, Message: 1, Filter: "t"})
	b.queue(1, store.Entry{Seq: 1, MessageID: 1, QoS: 1})
	b.queue(2, store.Entry{Seq: 1, MessageID: 1, QoS: 1})
	after := b.st.Append(&store.Op{Kind: store.Commit, Message: 1})
	if after-before > 500 {
		t.Errorf("two more references to a message of 1000 bytes took %d", after-before)
	}
	b.st.Append(&store.Op{Kind: store.Unretain, Filter: "t"})
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Done, Session: 1, Seq: 1}))
	b.want(2, "1/0/0 "+strings.Repeat("x", 1000))
}

func commits(t *testing.T, open Maker) {
	b := newBench(t, open)
	b.message(1, "committed")
	b.queue(1, store.Entry{Seq: 1, MessageID: 1, QoS: 1, PacketID: 9})
	b.commit(1)
	b.message(2, "retained, not committed")
	b.st.Append(&store.Op{Kind: store.Retain, Message: 2, Filter: "t"})
	b.message(3, "not committed")
	b.queue(1, store.Entry{Seq: 2, MessageID: 3, QoS: 1})
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Advance, Session: 1, Seq: 2, PacketID: 10, Stage: store.Sent}))
	b.st = b.reopen(true)
	b.want(1, "1/9/1 committed")
	if d := Dump(t, b.st); !strings.Contains(d, `retained t="retained, not committed"`) {
		t.Errorf("the retained message is gone:\n%s", d)
	}
}

func wills(t *testing.T, open Maker) {
	b := newBench(t, open)
	put := &store.Session{ID: 1, Client: "c1", Expiry: 60, Away: 5, Will: &store.Will{
		Body: store.Message{Topic: []byte("w"), Payload: []byte("gone")}, Delay: 7, Username: "u",
	}}
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.PutSession, Session: 1, Put: put}))
	b.st = b.reopen(true)
	if d := Dump(t, b.st); !strings.Contains(d, `"c1" expiry 60 away 5 will 7 u`) {
		t.Errorf("no will in\n%s", d)
	}
	b.message(1, "gone")
	b.queue(2, store.Entry{Seq: 1, MessageID: 1, QoS: 1})
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Commit, Message: 1, Session: 1, WillSaid: true}))
	b.st = b.reopen(true)
	if d := Dump(t, b.st); strings.Contains(d, "will") || !strings.Contains(d, `t="gone"`) {
		t.Errorf("it was said, once:\n%s", d)
	}
}

func moves(t *testing.T, open Maker) {
	b := newBench(t, open)
	b.message(1, "first for one")
	b.queue(1, store.Entry{Seq: 5, MessageID: 1, QoS: 2})
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Commit, Message: 1}))
	b.message(2, "then for the other")
	b.queue(2, store.Entry{Seq: 7, MessageID: 2, QoS: 2})
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Commit, Message: 2, Session: 1, Seq: 5}))
	b.want(1)
	b.want(2, "7/0/0 then for the other")
	b.st = b.reopen(true)
	b.want(1)
	b.want(2, "7/0/0 then for the other")
}

func ends(t *testing.T, open Maker) {
	b := newBench(t, open)
	b.message(1, "for both")
	b.queue(1, store.Entry{Seq: 1, MessageID: 1, QoS: 1})
	b.queue(2, store.Entry{Seq: 1, MessageID: 1, QoS: 1})
	b.st.Append(&store.Op{Kind: store.Commit, Message: 1, Session: 1, PacketID: 3})
	b.st.Append(&store.Op{Kind: store.PutSubscription, Session: 1, Subscription: &store.Subscription{Filter: "a/#"}})
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.EndSession, Session: 1}))
	b.want(1)
	b.want(2, "1/0/0 for both")
	// A session of that name that comes later has nothing of it.
	b.st.Append(&store.Op{Kind: store.PutSession, Session: 3, Put: &store.Session{ID: 3, Client: "c1", Expiry: 60}})
	safe(t, b.st, b.st.Append(&store.Op{Kind: store.Done, Session: 1, Seq: 1}))
	b.want(3)
	if d := Dump(t, b.st); strings.Contains(d, "a/#") {
		t.Errorf("the subscription is still there:\n%s", d)
	}
}

func pieces(t *testing.T, open Maker) {
	b := newBench(t, open)
	for i := range 100 {
		id := store.MessageID(i + 1)
		b.message(id, strings.Repeat("y", 100))
		e := store.Entry{Seq: uint64(i + 1), MessageID: id, QoS: 1}
		if i%10 == 3 {
			e.PacketID = store.PacketID(id)
		}
		b.queue(1, e)
		b.commit(id)
	}
	var seqs []uint64
	for next := uint64(0); ; {
		some, err := b.st.Load(1, next, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) > 7 {
			t.Fatalf("asked for 7, got %d", len(some))
		}
		if len(some) == 0 {
			break
		}
		for _, e := range some {
			seqs = append(seqs, e.Seq)
		}
		next = seqs[len(seqs)-1] + 1
	}
	if len(seqs) != 90 || seqs[3] != 5 || seqs[89] != 100 {
		t.Errorf("loaded %v", seqs)
	}
	if some, _ := b.st.Load(1, 0, 100, 700); len(some) < 2 || len(some) > 7 {
		t.Errorf("%d messages of 100 bytes came where 700 were wanted", len(some))
	}
}
