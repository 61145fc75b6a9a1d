package store

import "errors"

// ErrClosed is returned by a store that has been closed.
var ErrClosed = errors.New("store: closed")

// A Position is a place in the order of changes. Of two changes, the later has
// the larger one. For a store on disk the difference is bytes.
type Position uint64

// Settled is beyond every position: that of a store whose changes are as safe
// as they will be at once.
const Settled Position = 1<<64 - 1

// A Store remembers. Its methods may be called from any goroutine.
type Store interface {
	// Append takes a change and returns its position. It does not wait, keeps
	// nothing of op, and cannot fail: what keeps changes from becoming durable
	// is told by Err, and what was appended is tried again until it is.
	Append(op *Op) Position

	// Durable is up to where changes are as safe as was asked for.
	Durable() Position

	// After calls fn once everything up to pos is durable, in a goroutine that
	// must not be held up. It is never called if the store is closed before.
	After(pos Position, fn func())

	// Err is why nothing becomes durable at present: nil, or a disk that is
	// full, read-only, gone.
	Err() error

	// Last returns the largest numbers ever given to a session and a message.
	Last() (SessionID, MessageID)

	// Sessions calls yield for every session, in no order, until it returns
	// false. Meant for the start: the store should be left alone meanwhile.
	Sessions(yield func(s *Snapshot) bool) error

	// Retained calls yield for every retained message likewise. yield may keep
	// m. A message that cannot be read is left out, and part of the error.
	Retained(yield func(id MessageID, m *Message) bool) error

	// Exchanges returns what a session has open: the QoS 2 identifiers it
	// holds, and the messages in flight in the order they were sent.
	Exchanges(id SessionID) (held []PacketID, sent []Entry, err error)

	// Load returns messages a session has queued and not in flight, from
	// sequence number seq on, in order: at most max of them, and no further
	// one once they hold size bytes. Nothing is the end of the queue. It reads
	// from the disk, so nothing may be locked meanwhile. Entries whose message
	// cannot be read come with a nil Message.
	Load(id SessionID, seq uint64, max, size int) ([]Entry, error)

	// Close makes everything appended durable, if it can, and lets go of it.
	Close() error
}

// A Snapshot is one session as it was found.
type Snapshot struct {
	Session
	Subscriptions []Subscription
	Queued        int    // messages queued and not in flight
	QueuedBytes   int    // about as much
	Inflight      int    // messages in flight
	Held          int    // QoS 2 identifiers
	First         uint64 // sequence number of the first of Queued
	Last          uint64 // the largest one in use
}
