package link

import (
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/topic"
)

// publish holds a PUBLISH against what this end announced and puts the topic
// its alias stands for in place.
func (r *Reader) publish(p *packet.Publish) error {
	// The codec refuses both an explicit 0 and an empty topic without alias.
	if p.Properties.TopicAlias != 0 {
		if err := r.alias(p); err != nil {
			return err
		}
	}
	if r.has(isClient) {
		return nil
	}
	// [MQTT-3.2.2-11, 5.0] [X5-3.2.2.3.4-a]
	if p.QoS > mqtt.QoS(r.grants&grantQoS) {
		return errQoS
	}
	// [MQTT-3.2.2-14, 5.0] [X5-3.2.2.3.5-a]
	if p.Retain && !r.grants.has(grantRetain) && r.version == mqtt.V5 {
		return errRetain
	}
	// [MQTT-3.3.4-6, 5.0]
	if p.Properties.Has(packet.PropSubscriptionIdentifier) {
		return errClientSubID
	}
	return nil
}

// alias resolves or defines a Topic Alias (5.0, 3.3.2.3.4). Mappings die with
// the connection [MQTT-3.3.2-7, 5.0].
func (r *Reader) alias(p *packet.Publish) error {
	a := p.Properties.TopicAlias
	// [MQTT-3.3.2-9, 5.0] [X5-3.3.4-b]
	if a > r.limits.aliases {
		return errAliasRange
	}
	n := r.named()
	for len(n.aliases) < int(a) {
		n.aliases = append(n.aliases, nil)
	}
	slot := &n.aliases[a-1]
	if len(p.Topic) > 0 {
		*slot = append((*slot)[:0], p.Topic...) // [X5-3.3.4-d]
		return nil
	}
	// [X5-3.3.4-c]
	if len(*slot) == 0 {
		return errAliasUnknown
	}
	p.Topic = *slot
	return nil
}

// subscribe holds a SUBSCRIBE against what this end announced. Older versions
// know no refusal of the whole packet: there the engine answers per filter
// [MQTT-3.8.3-2, 3.1.1].
func (r *Reader) subscribe(p *packet.Subscribe) error {
	if r.version != mqtt.V5 {
		return nil
	}
	// [X5-3.2.2.3.12-a]
	if !r.grants.has(grantSubIDs) && p.Properties.Has(packet.PropSubscriptionIdentifier) {
		return errSubID
	}
	if r.grants.has(grantShared) && r.grants.has(grantWildcard) {
		return nil
	}
	for left := p.Filters; len(left) > 0; {
		var s packet.Subscription
		s, left = left.Cut()
		_, rest, shared := topic.Shared(s.Filter)
		// [X5-3.2.2.3.13-a]
		if shared && !r.grants.has(grantShared) {
			return errShared
		}
		if !shared {
			rest = s.Filter
		}
		// [X5-3.2.2.3.11-a]
		if !r.grants.has(grantWildcard) && topic.HasWildcard(rest) {
			return errWildcard
		}
	}
	return nil
}
