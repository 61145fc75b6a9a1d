package tiny

import (
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/topic"
)

// A subscription is one filter of one session.
type subscription struct {
	id      uint32 // Subscription Identifier; 0: none
	since   uint32 // sequence when it was made: what is retained later comes live
	filter  handle
	mark    uint16 // odd: fingerprint of a filter without wildcards; even: twice the bytes before the first
	cursor  uint16 // the retained message to look at next; done: none is due
	session uint8  // index; the program's own is the one behind the last
	options uint8  // QoS and the flags below
}

const (
	optionNoLocal     = 1 << 2
	optionAsPublished = 1 << 3
	optionOnePlus     = 1 << 4 // the only wildcard is one +
	optionHint        = 5      // where three bits begin of the last character before the level with the wildcard

	optionsWire = 1<<4 - 1 // what SUBSCRIBE says; the rest speeds up matching

	noSession = 0xFF // a publisher that has none
	done      = 0xFFFF

	maxAsks       = 8 // subscriptions with an identifier, a session
	outgoingExtra = 4 + 5*maxAsks
)

// A grant is what match found for one session: the highest QoS of all filters
// that match [MQTT-3.3.5-1, 3.1.1] [MQTT-3.3.4-2, 5.0].
type grant uint8

const granted grant = 1 << 7

func (g grant) qos() mqtt.QoS     { return mqtt.QoS(g & 3) }
func (g grant) asPublished() bool { return g&optionAsPublished != 0 }

// fingerprint tells most names apart: their length and how they end. It is
// odd.
func fingerprint[T ~string | ~[]byte](name T) uint16 {
	n := len(name)
	if n < 4 {
		return uint16(n)<<1 | 1
	}
	return (uint16(n)<<5 ^ uint16(name[n-1])<<9 ^ uint16(name[n-2])<<6 ^ uint16(name[n-3])<<3 ^ uint16(name[n-4])<<1) | 1
}

// match notes in grants who is to have what is published to name, and reports
// whether there is anybody. from is the session that publishes it.
//
// It looks at every subscription: at these sizes that beats a trie, which
// docs/decisions/0005 measures.
func (b *Broker) match(name []byte, from uint8) bool {
	for _, i := range b.hits {
		b.grants[i] = 0
	}
	b.hits = b.hits[:0]
	mark := fingerprint(name)
	for i := range b.subs[:b.nsubs] {
		s := &b.subs[i]
		if s.mark&1 != 0 {
			if s.mark != mark {
				continue
			}
		} else if n := int(s.mark / 2); n >= 2 && n <= len(name) && name[n-2]&7 != s.options>>optionHint {
			continue
		}
		if !b.matches(s, name) {
			continue
		}
		if s.session == from && s.options&optionNoLocal != 0 {
			continue // [MQTT-3.8.3-3, 5.0]
		}
		g, this := &b.grants[s.session], grant(s.options)&(optionAsPublished|3)|granted
		if *g == 0 {
			n := len(b.hits)
			b.hits = b.hits[:n+1]
			b.hits[n] = s.session
			*g = this
			continue
		}
		*g = max(*g&3, this&3) | (*g|this)&^3
	}
	return len(b.hits) > 0
}

func (b *Broker) matches(s *subscription, name []byte) bool {
	filter := b.slab.bytes(s.filter)
	n := int(s.mark / 2)
	switch {
	case s.mark&1 != 0:
		return mqtt.Same(filter, name)
	case n == 0 || n > len(name):
		return topic.Match(filter, name)
	case !mqtt.Same(filter[:n], name[:n]):
		return false
	case s.options&optionOnePlus == 0:
		return topic.MatchFrom(filter, name, n)
	}
	for n < len(name) && name[n] != '/' {
		n++
	}
	return mqtt.Same(filter[s.mark/2+1:], name[n:])
}

// subscribe answers SUBSCRIBE, filter by filter [MQTT-3.8.4-5, 5.0]
// [MQTT-3.8.4-4, 3.1.1]. false is no room for the answer.
func (b *Broker) subscribe(at Slot, c *conn, p *packet.Subscribe) bool {
	if !b.answer(c, packet.SUBACK, p.ID, p.Filters.Len()) {
		return false
	}
	for i, rest := 0, p.Filters; len(rest) > 0; i++ {
		var want packet.Subscription
		want, rest = rest.Cut()
		code := b.subscribeOne(at, c, p, &want)
		if code.Failed() && c.in.Version() != mqtt.V5 {
			code = mqtt.UnspecifiedError // the one failure SUBACK had [MQTT-3.9.3-2, 3.1.1]
		}
		b.slab.bytes(c.answer)[answerCodes+i] = byte(code)
	}
	return true
}

func (b *Broker) subscribeOne(at Slot, c *conn, p *packet.Subscribe, want *packet.Subscription) mqtt.ReasonCode {
	s := b.of(c)
	_, _, shared := topic.Shared(want.Filter)
	switch {
	case s.in.Holds(p.ID):
		return mqtt.PacketIdentifierInUse
	case topic.CheckFilter(want.Filter) != nil:
		return mqtt.TopicFilterInvalid
	case shared: // 5.0 clients were disconnected by the link for it
		return mqtt.SharedSubscriptionsNotSupported
	}
	q := min(want.QoS, mqtt.QoS(orNone(b.limits.MaxQoS))) // [MQTT-3.2.2-9, 5.0]
	if hook := b.hooks.Subscribe; hook != nil {
		b.busy = true
		code := hook(b.introduce(at), want.Filter, q)
		b.busy = false
		if code.Failed() {
			b.stats.Denied++
			return code
		}
		q = min(q, mqtt.QoS(code))
	}
	options := uint8(q)
	if want.NoLocal {
		options |= optionNoLocal
	}
	if want.RetainAsPublished {
		options |= optionAsPublished
	}
	id := p.Properties.SubscriptionIdentifier
	sub, fresh := addSub(b, s.at, want.Filter)
	if sub == nil || id != 0 && sub.id == 0 && s.asks == maxAsks {
		if sub != nil && fresh {
			b.removeSub(b.nsubs - 1)
		}
		return mqtt.QuotaExceeded
	}
	b.identify(s, sub, id)
	sub.options, sub.since = options|sub.options&^optionsWire, b.sequence
	// [MQTT-3.8.4-3, 3.1.1] [MQTT-3.3.1-9, 5.0] [MQTT-3.3.1-10, 5.0] [MQTT-3.3.1-11, 5.0]
	if want.RetainHandling == 0 || want.RetainHandling == 1 && fresh {
		if sub.cursor == done {
			s.owed++
		}
		sub.cursor = 0
	}
	return mqtt.ReasonCode(q)
}

// identify gives a subscription its identifier.
func (b *Broker) identify(s *session, sub *subscription, id uint32) {
	if sub.id != 0 {
		s.asks--
	}
	if sub.id = id; id != 0 {
		s.asks++
	}
}

// addSub returns a session's subscription to a filter, a fresh one if there is
// none; nil is no room. The filter must not lie in the slab.
func addSub[T ~string | ~[]byte](b *Broker, session uint8, filter T) (sub *subscription, fresh bool) {
	if i := findSub(b, session, filter); i >= 0 {
		return &b.subs[i], false
	}
	if b.nsubs == len(b.subs) {
		return nil, false
	}
	h, o := b.slab.alloc(len(filter))
	if h == 0 {
		return nil, false
	}
	copy(o, filter)
	sub = &b.subs[b.nsubs]
	b.nsubs++
	*sub = subscription{filter: h, session: session, cursor: done}
	at := 0
	for at < len(filter) && filter[at] != '+' && filter[at] != '#' {
		at++
	}
	sub.mark = uint16(at * 2)
	if at == len(filter) {
		sub.mark = fingerprint(filter)
		return sub, true
	}
	if filter[at] == '+' && !topic.HasWildcard(filter[at+1:]) {
		sub.options = optionOnePlus
	}
	if at >= 2 {
		sub.options |= filter[at-2] & 7 << optionHint
	}
	return sub, true
}

// findSub compares character by character [MQTT-3.10.4-1].
func findSub[T ~string | ~[]byte](b *Broker, session uint8, filter T) int {
	for i := range b.subs[:b.nsubs] {
		if s := &b.subs[i]; s.session == session && same(b.slab.bytes(s.filter), filter) {
			return i
		}
	}
	return -1
}

func same[T ~string | ~[]byte](a []byte, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// removeSub forgets a subscription; the last one takes its place.
func (b *Broker) removeSub(i int) {
	sub := &b.subs[i]
	b.slab.drop(sub.filter)
	if sub.session != b.program() {
		s := &b.sessions[sub.session]
		if sub.cursor != done {
			s.owed--
		}
		b.identify(s, sub, 0)
	}
	b.nsubs--
	*sub = b.subs[b.nsubs]
	b.subs[b.nsubs] = subscription{}
	b.freed++
}

// unsubscribe ends subscriptions and says for each whether there was one
// [MQTT-3.10.4-5, 5.0] [MQTT-3.10.4-6, 5.0]. false is no room for the answer.
func (b *Broker) unsubscribe(c *conn, p *packet.Unsubscribe) bool {
	if !b.answer(c, packet.UNSUBACK, p.ID, p.Filters.Len()) {
		return false
	}
	s := b.of(c)
	for i, rest := 0, p.Filters; len(rest) > 0; i++ {
		var filter []byte
		filter, rest = rest.Cut()
		code := mqtt.NoSubscriptionExisted
		switch sub := findSub(b, s.at, filter); {
		case c.in.Version() == mqtt.V5 && s.in.Holds(p.ID): // before, there was no way to say so
			code = mqtt.PacketIdentifierInUse
		case sub >= 0:
			b.removeSub(sub)
			code = mqtt.Success
		case topic.CheckFilter(filter) != nil:
			code = mqtt.TopicFilterInvalid
		}
		b.slab.bytes(c.answer)[answerCodes+i] = byte(code)
	}
	return true
}

// answerCodes is where the codes of a SUBACK or UNSUBACK begin; type and
// identifier stand before them.
const answerCodes = 3

// answer makes room for the answer to n filters.
func (b *Broker) answer(c *conn, t packet.Type, id mqtt.PacketID, n int) bool {
	var o []byte
	if c.answer, o = b.slab.alloc(answerCodes + n); c.answer == 0 {
		return false
	}
	o[0] = byte(t)
	put16(o[1:], uint16(id))
	return true
}
