package client

import (
	"slices"

	"github.com/midgemq/midge/topic"
)

// A route leads from a filter to a handler. Those of a subscription are
// found by its identifier too.
type route struct {
	filter string // without $share
	id     uint32 // Subscription Identifier; 0: none
	owner  string // the subscription, or "" for Handle's
	handle Handler
}

// route puts the handler of a filter in place; nil takes it away. Readers see
// the table before or after, and never wait.
func (s *session) route(filter string, id uint32, owner string, h Handler) {
	if _, rest, shared := topic.Shared(filter); shared {
		filter = rest
	}
	for {
		old := s.routes.Load()
		table := slices.DeleteFunc(slices.Clone(*old), func(r route) bool { return r.owner == owner && r.filter == filter })
		if h != nil {
			table = append(table, route{filter, id, owner, h})
		}
		if s.routes.CompareAndSwap(old, &table) {
			return
		}
	}
}

// deliver calls the handlers whose filters match. A message that names
// subscriptions is for theirs and for those of Handle alone; unless it names
// none that could be meant, since an earlier program made them.
func (s *session) deliver(m Message) {
	table := *s.routes.Load()
	named := slices.ContainsFunc(table, func(r route) bool {
		return slices.Contains(m.SubscriptionIDs, r.id) && topic.Match(r.filter, m.Topic)
	})
	found := false
	for _, r := range table {
		if named && r.id > 0 && !slices.Contains(m.SubscriptionIDs, r.id) || !topic.Match(r.filter, m.Topic) {
			continue
		}
		found = true
		r.handle(s.ctx, m)
	}
	if found {
		return
	}
	if s.set.Handler != nil {
		s.set.Handler(s.ctx, m)
		return
	}
	s.count.unmatched.Add(1)
}
