package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/midgemq/midge/mqtt"
)

// replies are the answers that requests of this client wait for. They come
// under a topic of its own, whatever Response Information the server gave.
type replies struct {
	s    *session
	turn chan struct{} // one token: to subscribe

	mu      sync.Mutex
	topic   string
	waiting map[string]chan Message // by Correlation Data
}

var errNoRequests = errors.New("client: requests need MQTT 5.0")

func newReplies(s *session) *replies {
	r := &replies{s: s, turn: make(chan struct{}, 1), waiting: map[string]chan Message{}}
	s.replies.Store(r)
	return r
}

// renew makes the response topic fit the server's Response Information; the
// subscription is restored with the others.
func (r *replies) renew(info Info) {
	r.mu.Lock()
	defer r.mu.Unlock()
	base := info.ResponseInfo
	if base == "" || r.topic == "" || strings.HasPrefix(r.topic, base) {
		return
	}
	r.topic = "" // the next Request subscribes anew
}

// prepare returns the response topic, subscribed to.
func (r *replies) prepare(ctx context.Context, info Info) (string, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	r.mu.Lock()
	topic := r.topic
	r.mu.Unlock()
	if topic != "" {
		return topic, nil
	}
	base := info.ResponseInfo
	if base == "" {
		base = "reply/" + plainLevels.Replace(info.ClientID)
	}
	topic = strings.TrimSuffix(base, "/") + "/" + rand.Text()[:8]
	if _, err := r.s.subscribe(ctx, []Subscription{{Filter: topic, QoS: mqtt.AtLeastOnce}}); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.topic = topic
	return topic, nil
}

// plainLevels makes part of a topic name out of any identifier.
var plainLevels = strings.NewReplacer("+", "_", "#", "_")

// Request publishes m with a Response Topic and Correlation Data of its own
// and returns the answer, through as many connections as that takes. 5.0 only.
// An answer above Options.StreamAbove goes to the handlers, in parts.
func (c *Client) Request(ctx context.Context, m mqtt.Message) (Message, error) {
	if err := c.Connect(ctx); err != nil {
		return Message{}, err
	}
	info, ok := c.Info()
	if !ok {
		return Message{}, ErrNotConnected
	}
	if info.Version != mqtt.V5 {
		return Message{}, errNoRequests
	}
	topic, err := c.replies.prepare(ctx, info)
	if err != nil {
		return Message{}, fmt.Errorf("client: response topic: %w", err)
	}
	id := rand.Text()
	answer := make(chan Message, 1)
	c.replies.mu.Lock()
	c.replies.waiting[id] = answer
	c.replies.mu.Unlock()
	defer func() {
		c.replies.mu.Lock()
		delete(c.replies.waiting, id)
		c.replies.mu.Unlock()
	}()
	m.ResponseTopic, m.CorrelationData = topic, []byte(id)
	result, err := c.Publish(ctx, m)
	if err != nil {
		return Message{}, err
	}
	if result.Code == mqtt.NoMatchingSubscribers {
		return Message{}, fmt.Errorf("client: nobody answers %q: %w", m.Topic, &ReasonError{Code: result.Code})
	}
	c.s.enter()
	defer c.s.leave()
	select {
	case got := <-answer:
		return got, nil
	case <-ctx.Done():
		return Message{}, context.Cause(ctx)
	case <-c.s.ctx.Done():
		return Message{}, ErrClosed
	}
}

// answersRequest hands a message to the Request that waits for it. It runs in
// the reader: a handler may wait for an answer.
func (s *session) answersRequest(m *Message) bool {
	r := s.replies.Load()
	if r == nil || len(m.CorrelationData) == 0 {
		return false
	}
	r.mu.Lock()
	answer := r.waiting[string(m.CorrelationData)]
	mine := answer != nil && m.Topic == r.topic
	r.mu.Unlock()
	if !mine || m.Offset > 0 || !m.Last() {
		return false
	}
	select {
	case answer <- *m:
	default:
	}
	if m.QoS > mqtt.AtMostOnce {
		s.acknowledge(m, mqtt.Success)
	}
	return true
}

// Respond subscribes to requests and publishes what answer makes of each, to
// the request's Response Topic. An error is not sent: the requester's ctx
// ends its wait.
func (c *Client) Respond(ctx context.Context, filter string, q mqtt.QoS, answer func(context.Context, Message) (mqtt.Message, error)) error {
	_, err := c.Subscribe(ctx, Subscription{Filter: filter, QoS: q, Handler: func(ctx context.Context, m Message) {
		if m.ResponseTopic == "" {
			return
		}
		out, err := answer(ctx, m)
		if err != nil {
			c.s.set.log.Warn("client: request not answered", "topic", m.Topic, "error", err)
			return
		}
		out.Topic, out.CorrelationData = m.ResponseTopic, m.CorrelationData
		if _, err := c.Enqueue(ctx, out); err != nil {
			c.s.set.log.Warn("client: answer not sent", "topic", out.Topic, "error", err)
		}
	}})
	return err
}
