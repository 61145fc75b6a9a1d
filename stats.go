package midge

import (
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// Stats is what a broker has and what it has done, at one time. What is said to
// be "ever" only grows until the broker is closed. The names in JSON are those
// of the admin interface, and stay.
type Stats struct {
	Version string    `json:"version"` // of this module
	Started time.Time `json:"started"`

	// What there is now.

	Connections         int             `json:"connections"`          // open, those whose CONNECT is still to come included
	Clients             int             `json:"clients"`              // connected
	ClientsV31          int             `json:"clients_v31"`          // of these, those of 3.1
	ClientsV311         int             `json:"clients_v311"`         // of 3.1.1
	ClientsV5           int             `json:"clients_v5"`           // of 5.0
	Away                int             `json:"away"`                 // sessions whose client is not connected
	Subscriptions       int             `json:"subscriptions"`        // shared ones included
	SharedSubscriptions int             `json:"shared_subscriptions"` // members of groups
	Retained            int             `json:"retained"`             // messages, $-topics included
	RetainedBytes       int64           `json:"retained_bytes"`       // as [Config.MaxRetainedBytes] counts them
	Queued              int             `json:"queued"`               // messages of QoS 1 and 2 that wait to be sent
	QueuedBytes         int             `json:"queued_bytes"`         // of these
	Inflight            int             `json:"inflight"`             // messages of QoS 1 and 2 sent and not acknowledged
	Memory              int64           `json:"memory"`               // bytes held for clients, as [Config.MaxMemory] counts them
	StoreStuck          bool            `json:"store_stuck"`          // the store takes nothing; see docs/durability.md
	Listeners           []ListenerStats `json:"listeners"`            // by URL

	// What has been done, ever.

	MostClients    int     `json:"most_clients"` // connected at once
	In             Traffic `json:"in"`           // from clients
	Out            Traffic `json:"out"`          // to clients
	PublishedHere  uint64  `json:"published_here"`
	DeliveredHere  uint64  `json:"delivered_here"`  // to subscribers inside the program
	Connects       uint64  `json:"connects"`        // let in
	SessionsEnded  uint64  `json:"sessions_ended"`  // by their expiry, clients away
	Refused        Refused `json:"refused"`         // connections
	Denied         Denied  `json:"denied"`          // by hooks and rules
	Dropped        Dropped `json:"dropped"`         // messages
	Limited        Limited `json:"limited"`         // what bounds did, but for messages dropped
	StalledClients uint64  `json:"stalled_clients"` // cut off for taking no byte within WriteTimeout
}

// Traffic is what passed one way.
type Traffic struct {
	Bytes    uint64 `json:"bytes"` // of MQTT: without TLS, WebSocket and below
	Packets  uint64 `json:"packets"`
	Messages uint64 `json:"messages"` // PUBLISH packets
}

// Refused counts connections that nobody was let in by.
type Refused struct {
	Full      uint64 `json:"full"`      // Config.MaxConnections
	Proxy     uint64 `json:"proxy"`     // no PROXY header, a bad one, or that of somebody who is no proxy
	Accept    uint64 `json:"accept"`    // Hooks.Accept said no
	Handshake uint64 `json:"handshake"` // of TLS or WebSocket
	Connect   uint64 `json:"connect"`   // no CONNECT, a bad one, or one that was denied or for which there was no room
}

// Denied counts what hooks and rules did not allow.
type Denied struct {
	Connects   uint64 `json:"connects"`
	Publishes  uint64 `json:"publishes"`
	Subscribes uint64 `json:"subscribes"` // filters
	Wills      uint64 `json:"wills"`
}

// Dropped counts messages that a subscriber did not get.
type Dropped struct {
	Slow  uint64 `json:"slow"`  // QoS 0, to a client whose socket was full for too long
	Queue uint64 `json:"queue"` // QoS 1 and 2, to a client whose queue was full
	Here  uint64 `json:"here"`  // to a subscriber inside the program that lagged behind
	Lost  uint64 `json:"lost"`  // that the store gave back damaged
}

// Limited counts how often a bound of Config was met.
type Limited struct {
	Sessions      uint64 `json:"sessions"`      // MaxSessions
	Subscriptions uint64 `json:"subscriptions"` // MaxSubscriptions
	Retained      uint64 `json:"retained"`      // MaxRetained, MaxRetainedBytes
	Replays       uint64 `json:"replays"`       // MaxReplay: subscriptions refused, as are those while too much retained is still owed
	ReplaysHeld   uint64 `json:"replays_held"`  // times a replay waited for ReplayRate
	Stuck         uint64 `json:"stuck"`         // messages refused while the store took nothing
	Topics        uint64 `json:"topics"`        // MaxTopicLevels, MaxTopicLength: messages, wills and filters
	RateHeld      uint64 `json:"rate_held"`     // pauses in reading a client that published faster than ClientRate, ListenerRate and Rate let it
	RateRefused   uint64 `json:"rate_refused"`  // messages of such, OverRate being Refuse
	RateCutOff    uint64 `json:"rate_cut_off"`  // such clients disconnected
	Memory        uint64 `json:"memory"`        // what was refused, or held back, for MaxMemory
}

func (r *Refused) all() uint64 { return r.Full + r.Proxy + r.Accept + r.Handshake + r.Connect }
func (d *Dropped) all() uint64 { return d.Slow + d.Queue + d.Here + d.Lost }
func (l *Limited) all() uint64 {
	return l.Sessions + l.Subscriptions + l.Retained + l.Replays + l.Stuck + l.Topics + l.RateRefused + l.RateCutOff + l.Memory
}

// limited is Limited as it is counted.
type limited struct {
	sessions, subscriptions, retained, replays, stuck, topics atomic.Uint64
	rateHeld, rateRefused, rateEnded, memory                  atomic.Uint64
	replaysHeld                                               atomic.Uint64
}

func (l *limited) public() Limited {
	return Limited{
		Sessions: l.sessions.Load(), Subscriptions: l.subscriptions.Load(), Retained: l.retained.Load(),
		Replays: l.replays.Load(), Stuck: l.stuck.Load(), Topics: l.topics.Load(),
		RateHeld: l.rateHeld.Load(), RateRefused: l.rateRefused.Load(), RateCutOff: l.rateEnded.Load(),
		Memory: l.memory.Load(), ReplaysHeld: l.replaysHeld.Load(),
	}
}

// ListenerStats is one listener.
type ListenerStats struct {
	URL         string `json:"url"`
	Connections int    `json:"connections"` // open
}

// counters are what nobody's connection counts.
type counters struct {
	connects, stalled, expired atomic.Uint64
	subscriptions, shared      atomic.Int64
	peak                       atomic.Int64
	departed                   [2]tally // guarded by Broker.mu: in and out, of connections that are gone

	publishedHere, deliveredLocal atomic.Uint64

	refused struct{ full, proxy, accept, handshake, connect atomic.Uint64 }
	denied  struct{ connects, publishes, subscribes, wills atomic.Uint64 }
	dropped struct{ slow, queue, here, lost atomic.Uint64 }
	limited limited
}

// refusedPublish counts a message by why it was refused. What the retained store
// had no room for has been counted.
func (n *counters) refusedPublish(why *Refusal) {
	switch why {
	case errRetainedFull, errShort:
	case errTooFast:
		n.limited.rateRefused.Add(1)
	case errTopicLong, errTopicDeep:
		n.limited.topics.Add(1)
	case errStuck:
		n.limited.stuck.Add(1)
	default:
		n.denied.publishes.Add(1)
	}
}

// Stats counts what there is. It looks at every session and every connection,
// about a tenth of a second for a million of them, of which CONNECTs may have to
// wait for a quarter.
func (b *Broker) Stats() Stats {
	n := &b.count
	s := Stats{
		Version: Version, Started: b.epoch,
		Subscriptions: int(n.subscriptions.Load()), SharedSubscriptions: int(n.shared.Load()),
		Retained: b.retained.Len(), RetainedBytes: b.stored.bytes.Load(),
		StoreStuck: b.keep.stuck(), Memory: b.memory(),
		MostClients:   int(n.peak.Load()),
		PublishedHere: n.publishedHere.Load(), DeliveredHere: n.deliveredLocal.Load(),
		Connects: n.connects.Load(), SessionsEnded: n.expired.Load(), StalledClients: n.stalled.Load(),
		Refused: Refused{n.refused.full.Load(), n.refused.proxy.Load(), n.refused.accept.Load(), n.refused.handshake.Load(), n.refused.connect.Load()},
		Denied:  Denied{n.denied.connects.Load(), n.denied.publishes.Load(), n.denied.subscribes.Load(), n.denied.wills.Load()},
		Dropped: Dropped{n.dropped.slow.Load(), n.dropped.queue.Load(), n.dropped.here.Load(), n.dropped.lost.Load()},
		Limited: n.limited.public(),
	}
	b.countTraffic(&s)
	b.countSessions(&s)
	return s
}

// countTraffic adds what the connections count to what is left of the departed.
// A connection is one or the other, so nothing is lost or counted twice, and
// what has been counted once never shrinks.
func (b *Broker) countTraffic(s *Stats) {
	at := map[string]int{}
	b.mu.Lock()
	in, out := b.count.departed[0], b.count.departed[1]
	all := slices.Clone(b.conns)
	for _, l := range b.listeners {
		at[l.url] = 0
	}
	b.mu.Unlock()
	s.Connections = len(all)
	for _, c := range all {
		at[c.listen.url]++
		received, sent := c.tallies()
		in.add(received)
		out.add(sent)
	}
	s.In, s.Out = in.public(), out.public()
	for url, connections := range at {
		s.Listeners = append(s.Listeners, ListenerStats{url, connections})
	}
	slices.SortFunc(s.Listeners, func(x, y ListenerStats) int { return strings.Compare(x.URL, y.URL) })
}

func (b *Broker) countSessions(s *Stats) {
	for _, session := range b.everySession() {
		session.mu.Lock()
		s.Queued += session.queue.len() + session.tail.n
		s.QueuedBytes += session.queue.size() + session.tail.bytes
		s.Inflight += session.inflightLocked()
		session.mu.Unlock()
		c := session.conn.Load()
		if c == nil {
			s.Away++
			continue
		}
		s.Clients++
		switch c.version {
		case mqtt.V31:
			s.ClientsV31++
		case mqtt.V311:
			s.ClientsV311++
		default:
			s.ClientsV5++
		}
	}
}

// add adds what another has counted.
func (t *tally) add(u tally) {
	t.bytes += u.bytes
	t.packets += u.packets
	t.messages += u.messages
}

func (t *tally) public() Traffic { return Traffic{t.bytes, t.packets, t.messages} }

// tallies are what passed on c.
func (c *conn) tallies() (in, out tally) {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	return c.talliesLocked()
}

// everySession is the register, in no order.
func (b *Broker) everySession() []*session {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*session, 0, b.sessions.n) // at once: CONNECTs wait for the lock
	for s := range b.sessions.all() {
		all = append(all, s)
	}
	return all
}

// Clients lists who is connected, in no order.
func (b *Broker) Clients() []ClientStats {
	all := b.owned()
	list := make([]ClientStats, 0, len(all))
	for _, s := range all {
		if c := s.conn.Load(); c != nil { // not about to come, not leaving
			list = append(list, s.describe(c))
		}
	}
	return list
}

// Sessions goes through all sessions there are, those of clients that are away
// included, in no order. Each is described when its turn comes.
func (b *Broker) Sessions() iter.Seq[ClientStats] {
	return func(yield func(ClientStats) bool) {
		for _, s := range b.everySession() {
			if !yield(s.describe(s.conn.Load())) {
				return
			}
		}
	}
}

// Client describes the session of one client identifier; false: there is none.
func (b *Broker) Client(id string) (ClientStats, bool) {
	b.mu.Lock()
	s := b.sessions.find(id)
	b.mu.Unlock()
	if s == nil {
		return ClientStats{}, false
	}
	return s.describe(s.conn.Load()), true
}

// owned is every session a connection is in charge of, or about to be, or leaving.
func (b *Broker) owned() []*session {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*session, 0, b.connected)
	for s := range b.sessions.all() {
		if s.owner != nil {
			all = append(all, s)
		}
	}
	return all
}

// describe is what there is to say of a session whose client is connected by c,
// or away if that is nil.
func (s *session) describe(c *conn) ClientStats {
	st := ClientStats{ClientInfo: ClientInfo{ClientID: s.id}}
	if c != nil {
		st.ClientInfo, st.Connected = c.info(), true
	} else if until := time.Duration(s.until.Load()) * time.Second; until > 0 {
		st.Until = s.b.epoch.Add(until)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Queued, st.Inflight, st.Subscriptions = s.queue.len()+s.tail.n, s.inflightLocked(), s.subs.len()
	st.QueuedBytes = s.queue.size() + s.tail.bytes + s.flying
	if c != nil {
		c.describe(&st)
	}
	return st
}

// describe adds what the outbox knows.
func (c *conn) describe(st *ClientStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in, out := c.talliesLocked()
	if c.seldom != nil {
		st.Dropped = c.seldom.dropped
	}
	st.BytesIn, st.PacketsIn, st.MessagesIn = in.bytes, in.packets, in.messages
	st.BytesOut, st.PacketsOut, st.MessagesOut = out.bytes, out.packets, out.messages
	st.QueuedBytes += len(c.out) + c.leaving
	if c.leaving > 0 {
		st.Stalled = max(0, c.b.since(time.Now())-time.Duration(c.taken+1)*time.Second) // it may have been taken at the end of its second
	}
}
