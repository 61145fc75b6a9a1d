package tiny

import (
	"errors"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/topic"
)

var (
	// ErrFull says that there is no room now: try again once something has
	// been delivered.
	ErrFull = errors.New("tiny: no room now")

	// ErrMessage says that a message has no such QoS, or is larger than
	// Limits.MaxPacket.
	ErrMessage = errors.New("tiny: no valid QoS, or larger than MaxPacket")

	// ErrBusy says that a hook called the broker.
	ErrBusy = errors.New("tiny: called from a hook")
)

// Publish publishes a message of the program's own. m is not kept. It returns
// a *topic.Error for a topic that is none, ErrMessage, ErrFull when a QoS 1 or 2 message
// has no room with somebody who should get it (nobody has got it then), or when
// a retained one has none at all, and ErrBusy in a hook.
func (b *Broker) Publish(m *Message) error {
	if b.busy {
		return ErrBusy
	}
	if err := topic.CheckName(m.Topic); err != nil {
		return err
	}
	p := packet.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, ID: 1}
	if !m.QoS.Valid() || p.Size(mqtt.V5) > b.limits.MaxPacket {
		return ErrMessage
	}
	matched := b.match(m.Topic, noSession)
	if m.QoS > mqtt.AtMostOnce && !b.roomForOwn(m.QoS) {
		return ErrFull
	}
	if !matched && !m.Retain {
		return nil
	}
	h := b.store(&p, noSession, b.now, 0)
	if h == 0 {
		if m.QoS == mqtt.AtMostOnce && !m.Retain {
			b.stats.Dropped++
			return nil
		}
		return ErrFull
	}
	if m.Retain {
		b.retain(h)
	}
	b.route(h, m.QoS, m.Retain)
	return nil
}

func (b *Broker) roomForOwn(q mqtt.QoS) bool {
	for _, i := range b.hits {
		if min(q, b.grants[i].qos()) == mqtt.AtMostOnce || int(i) == len(b.sessions) {
			continue
		}
		if s := &b.sessions[i]; !b.room(s) {
			if s.conn != 0 {
				b.refuseFull(s)
			}
			return false
		}
	}
	return true
}

// Subscribe makes Hooks.Message get what matches filter, retained messages at
// once. A subscription takes a place of Limits.Filters. It returns a
// *topic.Error for a filter that is none or is shared, ErrFull and ErrBusy.
func (b *Broker) Subscribe(filter string) error {
	if b.busy {
		return ErrBusy
	}
	if err := topic.CheckFilter(filter); err != nil {
		return err
	}
	if _, _, shared := topic.Shared(filter); shared {
		return errShared
	}
	sub, _ := addSub(b, b.program(), filter)
	if sub == nil {
		return ErrFull
	}
	sub.options |= uint8(mqtt.ExactlyOnce) | optionAsPublished
	b.replay(sub)
	return nil
}

// program is the session, as it were, of the program the broker is part of.
func (b *Broker) program() uint8 { return uint8(len(b.sessions)) }

var errShared = &topic.Error{Text: "shared subscriptions are not for the program itself"}

// Unsubscribe ends a subscription of the program's; one that is not there is
// no error.
func (b *Broker) Unsubscribe(filter string) error {
	if b.busy {
		return ErrBusy
	}
	if i := findSub(b, b.program(), filter); i >= 0 {
		b.removeSub(i)
		b.unpark()
	}
	return nil
}
