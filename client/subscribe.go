package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/topic"
)

// A Subscription is one filter and what the server is to do about it.
type Subscription struct {
	Filter string // $share/NAME/FILTER too
	QoS    mqtt.QoS

	// Handler gets the filter's messages; nil: handlers registered by Handle,
	// or Options.Handler, do. Where the server offers Subscription
	// Identifiers a message comes to each Handler once, however many filters
	// overlap.
	Handler Handler

	// 5.0 only: older servers are asked without.

	NoLocal           bool // not what this client publishes
	RetainAsPublished bool
	RetainHandling    RetainHandling
	ID                uint32              // Subscription Identifier; 0: one is chosen if there is a Handler
	User              []mqtt.UserProperty // of the SUBSCRIBE
}

// RetainHandling says when retained messages are sent.
type RetainHandling uint8

const (
	SendRetained      RetainHandling = iota // at every SUBSCRIBE
	SendRetainedIfNew                       // if the subscription is new
	NoRetained                              // never
)

// A subscription is remembered until it is refused or given up.
type subscription struct {
	Subscription
	made bool // the server has it
}

// A request is a SUBSCRIBE or UNSUBSCRIBE on its way to an answer, however
// many connections that takes.
type request struct {
	kind    packet.Type
	subs    []Subscription
	filters []string // UNSUBSCRIBE
	user    []mqtt.UserProperty
	restore bool // nobody waits

	sent  bool
	wire  []int // which of subs went out: the others the server cannot do
	codes []mqtt.ReasonCode
	text  string
	err   error
	done  chan struct{}
}

const requestFilters = 64 // in one SUBSCRIBE at most

func (r *request) end(err error) {
	r.err = err
	close(r.done)
}

func (r *request) filter(i int) string {
	if r.kind == packet.SUBSCRIBE {
		return r.subs[i].Filter
	}
	return r.filters[i]
}

// subscribe returns when every filter has its answer.
func (s *session) subscribe(ctx context.Context, subs []Subscription) ([]mqtt.ReasonCode, error) {
	for i := range subs {
		if err := checkSubscription(&subs[i]); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	if s.closed != nil {
		s.mu.Unlock()
		return nil, s.closed
	}
	subs = slices.Clone(subs)
	for i := range subs {
		s.rememberLocked(&subs[i])
	}
	all := s.requestLocked(subs, false)
	s.sendRequestsLocked()
	s.mu.Unlock()
	return s.await(ctx, all)
}

func checkSubscription(sub *Subscription) error {
	if err := topic.CheckFilter(sub.Filter); err != nil {
		return fmt.Errorf("client: filter %q: %w", sub.Filter, err)
	}
	_, _, shared := topic.Shared(sub.Filter)
	switch {
	case !sub.QoS.Valid():
		return fmt.Errorf("client: there is no QoS %d", sub.QoS)
	case sub.RetainHandling > NoRetained:
		return fmt.Errorf("client: there is no retain handling %d", sub.RetainHandling)
	case sub.ID > mqtt.MaxSubscriptionID:
		return fmt.Errorf("client: subscription identifier %d is above %d", sub.ID, mqtt.MaxSubscriptionID)
	case shared && sub.NoLocal:
		// [MQTT-3.8.3-4, 5.0]
		return errors.New("client: a shared subscription cannot be NoLocal")
	}
	return checkUsers(sub.User)
}

// rememberLocked notes a subscription and routes to its handler, from before
// the server knows: nothing that comes is too early.
func (s *session) rememberLocked(sub *Subscription) {
	if sub.Handler != nil && sub.ID == 0 {
		if old := s.subs[sub.Filter]; old != nil && old.ID > 0 {
			sub.ID = old.ID
		} else {
			s.lastSubID = s.lastSubID%mqtt.MaxSubscriptionID + 1
			sub.ID = s.lastSubID
		}
	}
	s.lastSubID = max(s.lastSubID, sub.ID)
	if s.subs[sub.Filter] == nil {
		s.order = append(s.order, sub.Filter)
	}
	s.subs[sub.Filter] = &subscription{Subscription: *sub}
	s.route(sub.Filter, sub.ID, sub.Filter, sub.Handler)
}

func (s *session) forgetSubLocked(filter string) {
	delete(s.subs, filter)
	s.order = slices.DeleteFunc(s.order, func(f string) bool { return f == filter })
	s.route(filter, 0, filter, nil)
}

// requestLocked puts subscriptions into as few SUBSCRIBE as they go: one
// packet has one identifier and one set of user properties.
func (s *session) requestLocked(subs []Subscription, restore bool) (all []*request) {
	var r *request
	for _, sub := range subs {
		if r == nil || len(r.subs) == requestFilters || r.subs[0].ID != sub.ID || !slices.Equal(r.user, sub.User) {
			r = &request{kind: packet.SUBSCRIBE, user: sub.User, restore: restore, done: make(chan struct{})}
			all = append(all, r)
		}
		r.subs = append(r.subs, sub)
	}
	s.requests = append(s.requests, all...)
	return all
}

// renewLocked makes the server's subscriptions what they should be.
func (s *session) renewLocked() {
	s.requests = slices.DeleteFunc(s.requests, func(r *request) bool { return r.restore })
	asked := map[string]bool{}
	for _, r := range s.requests {
		for _, sub := range r.subs {
			asked[sub.Filter] = true
		}
	}
	var missing []Subscription
	for _, f := range s.order {
		if sub := s.subs[f]; !sub.made && !asked[f] {
			missing = append(missing, sub.Subscription)
		}
	}
	s.requestLocked(missing, true)
	s.sendRequestsLocked()
}

func (s *session) unsubscribe(ctx context.Context, user []mqtt.UserProperty, filters []string) ([]mqtt.ReasonCode, error) {
	for _, f := range filters {
		if err := topic.CheckFilter(f); err != nil {
			return nil, fmt.Errorf("client: filter %q: %w", f, err)
		}
	}
	if err := checkUsers(user); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed != nil {
		s.mu.Unlock()
		return nil, s.closed
	}
	var all []*request
	for part := range slices.Chunk(filters, requestFilters) {
		all = append(all, &request{kind: packet.UNSUBSCRIBE, filters: part, user: user, done: make(chan struct{})})
	}
	for _, f := range filters {
		s.forgetSubLocked(f)
	}
	s.requests = append(s.requests, all...)
	s.sendRequestsLocked()
	s.mu.Unlock()
	return s.await(ctx, all)
}

func (s *session) await(ctx context.Context, all []*request) (codes []mqtt.ReasonCode, err error) {
	s.enter()
	defer s.leave()
	refused := &SubscribeError{}
	for _, r := range all {
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnacknowledged, context.Cause(ctx))
		}
		if r.err != nil {
			return nil, r.err
		}
		codes = append(codes, r.codes...)
		r.refusals(refused)
	}
	if len(refused.Filters) > 0 {
		return codes, refused
	}
	return codes, nil
}

func (r *request) refusals(e *SubscribeError) {
	for i, code := range r.codes {
		if code.Failed() {
			e.Packet, e.Reason = packet.SUBACK, r.text
			if r.kind == packet.UNSUBSCRIBE {
				e.Packet = packet.UNSUBACK
			}
			e.Filters, e.Codes = append(e.Filters, r.filter(i)), append(e.Codes, code)
		}
	}
}

// sendRequestsLocked sends what has not been sent on this connection. It
// needs no quota of the server's [MQTT-3.3.4-8, 5.0].
func (s *session) sendRequestsLocked() {
	c := s.conn
	if c == nil || c.ending {
		return
	}
	var gone []*request
	for _, r := range s.requests {
		if r.sent {
			continue
		}
		done, room := s.sendRequestLocked(c, r)
		if !room {
			break
		}
		if done {
			gone = append(gone, r)
		}
	}
	for _, r := range gone {
		s.answeredLocked(r)
	}
	c.wakeWriter()
}

// sendRequestLocked reports done for a request that has its answer without
// the server, and no room when it has to wait for an identifier.
func (s *session) sendRequestLocked(c *Conn, r *request) (done, room bool) {
	r.codes = make([]mqtt.ReasonCode, max(len(r.subs), len(r.filters)))
	r.wire = r.wire[:0]
	var filters packet.Filters
	for i, sub := range r.subs {
		if r.codes[i] = c.canSubscribe(&sub); r.codes[i].Failed() {
			continue
		}
		r.wire = append(r.wire, i)
		wire := packet.Subscription{Filter: []byte(sub.Filter), QoS: sub.QoS}
		if c.version == mqtt.V5 { // [MQTT-3.8.3-4, 3.1.1]
			wire.NoLocal, wire.RetainAsPublished, wire.RetainHandling = sub.NoLocal, sub.RetainAsPublished, byte(sub.RetainHandling)
		}
		filters = filters.Add(wire)
	}
	if r.kind == packet.SUBSCRIBE && len(r.wire) == 0 {
		return true, true
	}
	id, ok := s.sending.Request(exchange{r: r})
	if !ok {
		return false, false
	}
	r.sent = true
	at := len(c.out)
	props := &packet.Properties{Users: encodeUsers(r.user)}
	if r.kind == packet.SUBSCRIBE {
		if c.info.Limits.SubscriptionIDs {
			props.SubscriptionIdentifier = r.subs[0].ID
		}
		p := packet.Subscribe{ID: id, Properties: props, Filters: filters}
		c.out = p.Append(c.out, c.version)
	} else {
		p := packet.Unsubscribe{ID: id, Properties: props}
		for _, f := range r.filters {
			p.Filters = p.Filters.Add(f)
		}
		c.out = p.Append(c.out, c.version)
	}
	if !c.w.Fits(len(c.out) - at) {
		c.out = c.out[:at]
		s.sending.Answer(id)
		for i := range r.codes {
			r.codes[i] = mqtt.PacketTooLarge
		}
		return true, true
	}
	return false, true
}

// canSubscribe holds a subscription against what the server announced
// [X5-3.2.2.3.11-a] [X5-3.2.2.3.13-a].
func (c *Conn) canSubscribe(sub *Subscription) mqtt.ReasonCode {
	_, rest, shared := topic.Shared(sub.Filter)
	if !shared {
		rest = sub.Filter
	}
	switch l := &c.info.Limits; {
	case shared && !l.SharedAvailable:
		return mqtt.SharedSubscriptionsNotSupported
	case topic.HasWildcard(rest) && !l.WildcardAvailable:
		return mqtt.WildcardSubscriptionsNotSupported
	}
	return mqtt.Success
}

// answered takes SUBACK and UNSUBACK.
func (s *session) answered(p *packet.Suback) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.sending.Answer(p.ID)
	if !ok || x.r == nil {
		return nil
	}
	r := x.r
	if r.kind == packet.UNSUBSCRIBE {
		for i := range min(len(p.Codes), len(r.codes)) {
			r.codes[i] = mqtt.ReasonCode(p.Codes[i])
		}
	} else {
		if len(p.Codes) != len(r.wire) {
			return &packet.Error{Code: mqtt.ProtocolError, Text: "SUBACK with another number of codes than filters asked for"}
		}
		for i, code := range p.Codes {
			r.codes[r.wire[i]] = mqtt.ReasonCode(code)
		}
	}
	if p.Properties != nil {
		r.text = string(p.Properties.ReasonString)
	}
	s.answeredLocked(r)
	s.sendRequestsLocked()
	s.pumpLocked()
	return nil
}

func (s *session) answeredLocked(r *request) {
	s.requests = slices.DeleteFunc(s.requests, func(q *request) bool { return q == r })
	for i, sub := range r.subs {
		mine := s.subs[sub.Filter]
		if mine == nil {
			continue
		}
		if !s.askedLocked(sub.Filter) { // or the last answer counts
			mine.made = !r.codes[i].Failed()
			if !mine.made {
				s.forgetSubLocked(sub.Filter)
			}
		}
		s.events.emit(SubscribedEvent{Filter: sub.Filter, Code: r.codes[i], Reason: r.text, Restored: r.restore})
	}
	r.end(nil)
}

// askedLocked reports whether a SUBSCRIBE for filter has no answer yet.
func (s *session) askedLocked(filter string) bool {
	return slices.ContainsFunc(s.requests, func(r *request) bool {
		return slices.ContainsFunc(r.subs, func(sub Subscription) bool { return sub.Filter == filter })
	})
}

func encodeUsers(all []mqtt.UserProperty) (out packet.UserProperties) {
	for _, u := range all {
		out = out.Add(u.Name, u.Value)
	}
	return out
}
