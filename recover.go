package midge

import (
	"slices"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
)

// recover takes over what the store holds. Messages that wait stay where they
// are until their client comes.
func (b *Broker) recover() error {
	if b.keep == nil {
		return nil
	}
	start := time.Now()
	r := recovery{b: b, now: start, said: start}
	err := b.keep.st.Retained(r.retained)
	if err != nil {
		b.log.Error("store: retained messages are lost", "error", err)
	}
	if err = b.keep.st.Sessions(r.session); err != nil {
		b.log.Error("store: sessions are lost", "error", err)
	}
	for _, s := range r.found {
		s.begin()
	}
	if r.sessions+r.messages > 0 {
		b.log.Info("took over", "sessions", r.sessions, "queued", r.queued, "retained", r.messages,
			"took", time.Since(start).Round(time.Millisecond))
	}
	return nil
}

// A recovery counts what is found.
type recovery struct {
	b                          *Broker
	now, said                  time.Time
	found                      []absent
	sessions, messages, queued int
}

// An absent client's session, before its clocks are started.
type absent struct {
	s      *session
	w      *will
	expiry uint32
	away   int64
}

func (r *recovery) retained(number store.MessageID, m *store.Message) bool {
	k := restored(m)
	k.number = number
	topic := string(k.topic)
	if _, alive := k.remaining(r.now.UnixNano()); !alive || !r.b.set.limits.RetainAvailable {
		r.b.keep.st.Append(&store.Op{Kind: store.Unretain, Filter: topic})
		return true
	}
	r.messages++
	r.b.retained.Set(topic, k)
	r.b.stored.messages.Add(1)
	r.b.stored.bytes.Add(int64(k.size()))
	r.progress()
	return true
}

func (r *recovery) session(snap *store.Snapshot) bool {
	b := r.b
	s := &session{b: b, id: snap.Client, aside: &nothingAside, durable: new(durable)}
	s.number, s.recorded, s.cold = snap.ID, true, snap.Inflight+snap.Held > 0
	s.seq = snap.Last
	s.tail = tail{n: snap.Queued, bytes: snap.QueuedBytes, from: snap.First}
	s.stored.Store(true)
	s.backlog.Store(snap.Queued > 0)
	if old := b.sessions.find(s.id); old != nil { // only damage does that
		b.log.Error("store: a client has two sessions; the older one is dropped", "client", s.id)
		if old.number > s.number {
			s.forget()
			return true
		}
		b.dropLocked(old)
		old.end()
	}
	b.addLocked(s)
	s.kept = true
	b.kept++
	a := absent{s: s, w: restoredWill(&snap.Session), expiry: snap.Expiry, away: snap.Away}
	if a.away == 0 { // it was connected, and its connection died with the broker
		a.away = r.now.UnixNano()
	}
	for i := range snap.Subscriptions {
		s.resubscribe(&snap.Subscriptions[i])
	}
	r.found = append(r.found, a)
	r.sessions++
	r.queued += snap.Queued
	r.progress()
	return true
}

// progress tells the log how far it is, once a second.
func (r *recovery) progress() {
	if (r.sessions+r.messages)%1024 != 0 {
		return
	}
	if now := time.Now(); now.Sub(r.said) >= time.Second {
		r.said = now
		r.b.log.Info("taking over", "sessions", r.sessions, "queued", r.queued, "retained", r.messages)
	}
}

// resubscribe puts a stored subscription into effect again.
func (s *session) resubscribe(p *store.Subscription) {
	sub := &subscription{s: s, seq: uint32(s.b.sequence.Add(1)), id: [1]uint32{p.ID}, spec: Subscription{
		Filter: p.Filter, QoS: min(p.QoS, s.b.set.limits.MaxQoS), NoLocal: p.NoLocal,
		RetainAsPublished: p.RetainAsPublished, RetainHandling: p.RetainHandling, ID: p.ID,
	}}
	s.subs = s.subs.with(sub)
	s.b.install(sub, nil)
	if p.Owed > p.Sent {
		left := slices.DeleteFunc(s.b.owed(sub), func(m *message) bool { return m.number <= p.Sent || m.number > p.Owed })
		s.owe(replay{sub: sub, left: left, sent: p.Sent, owed: p.Owed})
	}
}

// begin starts the clocks of a session that was found, and says what is due of
// its will: all subscriptions are in effect.
func (a *absent) begin() {
	s := a.s
	if s.ended {
		return
	}
	if a.expiry > 0 && a.expiry < mqtt.NeverExpires && left(a.away, a.expiry) <= 0 || a.expiry == 0 {
		s.b.mu.Lock()
		s.b.dropLocked(s)
		s.b.mu.Unlock()
		s.mu.Lock()
		s.setWillLocked(a.w)
		s.mu.Unlock()
		s.end()
		return
	}
	if a.w != nil && left(a.away, a.w.delay) <= 0 {
		s.b.publishWill(a.w)
		a.w = nil
	}
	s.park(a.w, a.expiry, a.away)
}
