package client

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// A State is what a Client is doing.
type State uint8

const (
	Idle       State = iota // not asked to connect
	Connecting              // an attempt is under way
	Connected
	Pausing // the last attempt failed, the next has its time
	Closed  // for good
)

func (s State) String() string {
	return [...]string{"idle", "connecting", "connected", "pausing", "closed"}[s]
}

// An Event is something that happened to a client: one of the types below.
type Event interface{ event() }

// A StateEvent is a change of State.
type StateEvent struct {
	State   State
	Server  string        // the URL, without password
	Attempt int           // since the last connection; 1 is the first
	Err     error         // why the connection before ended, or the attempt failed
	RetryIn time.Duration // Pausing
	Info    *Info         // Connected
}

// A PublishedEvent is the end of a message of Enqueue's, or of one that
// Publish gave up waiting for, or that an earlier program left in the store.
type PublishedEvent struct {
	ID     uint64
	Topic  string
	Result Result
	Err    error // nil: acknowledged; at QoS 0: sent
}

// A SubscribedEvent is the server's answer for one filter.
type SubscribedEvent struct {
	Filter   string
	Code     mqtt.ReasonCode
	Reason   string
	Restored bool // the client asked by itself, after a new connection
}

// A DroppedEvent is a QoS 0 message that came while the handlers were behind.
type DroppedEvent struct{ Topic string }

func (StateEvent) event()      {}
func (PublishedEvent) event()  {}
func (SubscribedEvent) event() {}
func (DroppedEvent) event()    {}

// maxEvents wait for one listener; beyond it the oldest go.
const maxEvents = 4096

// A hub hands events to listeners and waits for none.
type hub struct {
	mu        sync.Mutex
	listeners map[*listener]struct{}
	closed    bool
}

type listener struct {
	queue []Event // guarded by hub.mu
	wake  chan struct{}
}

func newHub() *hub { return &hub{listeners: map[*listener]struct{}{}} }

func (h *hub) emit(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if len(l.queue) == maxEvents {
			l.queue = append(l.queue[:0], l.queue[1:]...)
		}
		l.queue = append(l.queue, e)
		l.signal()
	}
}

func (l *listener) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for l := range h.listeners {
		l.signal()
	}
}

func (h *hub) listen() *listener {
	l := &listener{wake: make(chan struct{}, 1)}
	h.mu.Lock()
	h.listeners[l] = struct{}{}
	h.mu.Unlock()
	return l
}

func (h *hub) leave(l *listener) {
	h.mu.Lock()
	delete(h.listeners, l)
	h.mu.Unlock()
}

// take returns what has happened; more is false when nothing will any more.
func (h *hub) take(ctx context.Context, l *listener) (events []Event, more bool) {
	for {
		h.mu.Lock()
		events, l.queue = l.queue, nil
		closed := h.closed
		h.mu.Unlock()
		if len(events) > 0 || closed {
			return events, !closed
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// events are what happens from this call on, until ctx or the client ends.
func (h *hub) events(ctx context.Context) iter.Seq[Event] {
	l := h.listen()
	stop := context.AfterFunc(ctx, func() { h.leave(l) })
	return func(yield func(Event) bool) {
		defer h.leave(l)
		defer stop()
		for more := true; more; {
			var events []Event
			events, more = h.take(ctx, l)
			for _, e := range events {
				if !yield(e) {
					return
				}
			}
		}
	}
}
