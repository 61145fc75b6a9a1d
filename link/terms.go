package link

import "github.com/midgemq/midge/mqtt"

// Terms are mqtt.Limits in few bytes, with grants: a connection has them twice,
// and there may be a million.
type terms struct {
	maxPacket        uint32
	receive, aliases uint16
}

// Grants are what a server alone announces: its Maximum QoS, and what it has.
type grants uint8

const (
	grantQoS    grants = 3
	grantRetain grants = 1 << (iota + 1)
	grantWildcard
	grantSubIDs
	grantShared
)

func pack(l *mqtt.Limits) (terms, grants) {
	g := grants(l.MaxQoS) & grantQoS
	for _, has := range [...]struct {
		it bool
		g  grants
	}{
		{l.RetainAvailable, grantRetain},
		{l.WildcardAvailable, grantWildcard},
		{l.SubscriptionIDs, grantSubIDs},
		{l.SharedAvailable, grantShared},
	} {
		if has.it {
			g |= has.g
		}
	}
	return terms{l.MaxPacketSize, l.ReceiveMaximum, l.TopicAliasMaximum}, g
}

func unpack(t terms, g grants) mqtt.Limits {
	return mqtt.Limits{
		ReceiveMaximum: t.receive, MaxPacketSize: t.maxPacket, TopicAliasMaximum: t.aliases,
		MaxQoS:          mqtt.QoS(g & grantQoS),
		RetainAvailable: g.has(grantRetain), WildcardAvailable: g.has(grantWildcard),
		SubscriptionIDs: g.has(grantSubIDs), SharedAvailable: g.has(grantShared),
	}
}

func (g grants) has(one grants) bool { return g&one != 0 }
