package midge

import (
	"fmt"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
	"github.com/midgemq/midge/trace"
)

// A Handler takes messages inside the program. It is called from one
// goroutine per subscription, in order, and may block and call any method of
// the broker but Close. It may keep m; m's bytes are shared and not to be
// changed.
type Handler func(m mqtt.Message)

// A localClient is a subscriber inside the program: a session without a
// connection, whose queue a goroutine of its own empties.
type localClient struct {
	// Immutable.
	b       *Broker
	s       *session
	sub     *subscription
	handler Handler

	mu     sync.Mutex
	wake   *sync.Cond
	queue  queue // guarded by mu
	closed bool  // guarded by mu
}

// Subscribe calls handler with every message that matches filter: those that
// are retained now, and those published from now on, never an older one of a
// topic behind a newer. qos caps the QoS handler sees. $share filters work as for
// clients. The queue between broker and handler has the bounds of a client's
// (Config.MaxQueuedMessages, MaxQueuedBytes); what finds it full is dropped
// and counted.
//
// stop ends the subscription; a call in progress goes on. It may be called
// from the handler, and twice.
func (b *Broker) Subscribe(filter string, qos mqtt.QoS, handler Handler) (stop func(), err error) {
	if err := topic.CheckFilter(filter); err != nil {
		return nil, fmt.Errorf("midge: subscribe %q: %w", filter, err)
	}
	if !qos.Valid() {
		return nil, fmt.Errorf("midge: subscribe %q: QoS %d", filter, qos)
	}
	l := &localClient{b: b, handler: handler}
	l.wake = sync.NewCond(&l.mu)
	l.s = &session{b: b, local: l, aside: &nothingAside, durable: &notDurable}
	l.sub = &subscription{s: l.s, spec: Subscription{Filter: filter, QoS: qos}, seq: uint32(b.sequence.Add(1))}

	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, ErrClosed
	}
	b.locals[l] = struct{}{}
	b.work.Go(l.run)
	b.mu.Unlock()

	b.install(l.sub, nil)
	if _, _, shared := topic.Shared(filter); !shared {
		r := replay{sub: l.sub}
		for _, m := range b.owed(l.sub) {
			l.deliver(m, r.delivery(m))
		}
	}
	return sync.OnceFunc(l.stop), nil
}

func (l *localClient) stop() {
	l.b.uninstall(l.sub)
	l.b.mu.Lock()
	delete(l.b.locals, l)
	l.b.mu.Unlock()
	l.close()
}

func (l *localClient) close() {
	l.mu.Lock()
	l.closed = true
	l.b.hold(-l.queue.weight())
	l.queue = queue{}
	l.mu.Unlock()
	l.wake.Signal()
}

// deliver queues a message for the handler; it never blocks.
func (l *localClient) deliver(m *message, d delivery) {
	d.m = m
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
	case d.replay && !l.b.due(&d, time.Now().UnixNano()):
	case l.queue.len() >= l.b.bounds.Load().MaxQueuedMessages || l.queue.size()+m.size() > l.b.bounds.Load().MaxQueuedBytes:
		l.s.loses(nil, m, trace.Full)
		l.b.count.dropped.here.Add(1)
	default:
		l.queue.push(d)
		l.b.holdQueued(&d, 1)
		l.wake.Signal()
	}
}

func (l *localClient) run() {
	for {
		l.mu.Lock()
		for l.queue.len() == 0 && !l.closed {
			l.wake.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		d := l.queue.pop()
		l.b.holdQueued(&d, -1)
		l.mu.Unlock()
		l.call(d)
	}
}

func (l *localClient) call(d delivery) {
	now := time.Now().UnixNano()
	if _, alive := d.m.remaining(now); !alive {
		return
	}
	m := d.m.public(now)
	m.QoS, m.Retain = d.qos, d.retain
	l.b.count.deliveredLocal.Add(1)
	l.b.contain("handler of "+l.sub.spec.Filter, func() error { l.handler(m); return nil })
}
