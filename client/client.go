package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A Config says what a Client is and does. The zero value is a client of a
// broker on this machine.
type Config struct {
	Options

	// Servers are URLs, tried in turn: mqtt, mqtts, ws, wss or unix, with
	// user and password if need be. nil: DefaultServer. Several should share
	// their sessions.
	Servers []string

	// Store keeps QoS 1 and 2 messages and their state through a restart of
	// the program; nil: memory does, while the program runs. The Client closes
	// it. Use one per ClientID.
	Store Store

	// Backoff is the pause between attempts.
	Backoff Backoff

	// BeforeConnect may change an attempt: the server, fresh credentials, the
	// will. An error fails the attempt. It must not wait for the client.
	BeforeConnect func(ctx context.Context, a *Attempt) error

	// Retry is asked when a connection has ended or an attempt failed, with
	// the pause intended, and returns the one to make; an error stops the
	// client with it. nil: DefaultRetry.
	Retry func(err error, pause time.Duration) (time.Duration, error)

	// RefreshAfter renews each connection when it has lasted so long, less up
	// to a tenth, so that a thousand clients do not do it at once. 0: never.
	RefreshAfter time.Duration

	// FollowReferences goes where a server sends us (Server Reference with
	// UseAnotherServer, or ServerMoved: for good).
	FollowReferences bool

	// Lost is what to do with messages whose fate a server forgot.
	Lost LostPolicy

	// OnEvent hears of everything, one event at a time, in a goroutine of its
	// own: it may call anything of the client. nil: see Events.
	OnEvent func(Event)
}

// LostPolicy is about QoS 1 and 2 messages in flight when the server turns
// out to have lost the session.
type LostPolicy uint8

const (
	ResendLost LostPolicy = iota // send them as new: none is lost, one of QoS 2 may arrive twice
	FailLost                     // give them up with ErrSessionLost
)

// DefaultRetry goes on for ever, except when another client has taken the
// session over: two that do would throw each other out for ever. What a new
// attempt a second later will not change (credentials, a ban, an identifier
// refused) is tried again only every 5 minutes.
func DefaultRetry(err error, pause time.Duration) (time.Duration, error) {
	var code mqtt.ReasonCode
	var refused *ConnectError
	var ended *DisconnectError
	switch {
	case errors.As(err, &refused):
		code = refused.Code
	case errors.As(err, &ended):
		code = ended.Code
	}
	switch code {
	case mqtt.SessionTakenOver:
		return 0, err
	case mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.Banned, mqtt.BadAuthenticationMethod,
		mqtt.ClientIdentifierNotValid, mqtt.UnsupportedProtocolVersion:
		pause = max(pause, 5*time.Minute)
	}
	return pause, nil
}

// A Client keeps itself connected. Handlers and subscriptions may be made
// before it is. All methods may be called from anywhere, handlers included.
type Client struct {
	// Immutable.
	cfg     Config
	s       *session
	servers []string
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	done    chan struct{}
	replies *replies

	mu      sync.Mutex
	state   State
	err     error         // why the state is what it is
	changed chan struct{} // closed at each change of state
	running bool          // the loop is
	halt    context.CancelFunc
	again   chan struct{} // one token: connect without waiting any longer
	loops   sync.WaitGroup
	closed  bool
	goodbye packet.Disconnect // the last words
	leaving bool              // Disconnect has given them
	restart bool              // Connect has been called since
}

// New makes a client, and takes up what its store holds. It connects when
// Connect is called.
func New(cfg Config) (*Client, error) {
	set, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	if err := cfg.Backoff.check(); err != nil {
		return nil, err
	}
	servers := slices.Clone(cfg.Servers) // ServerMoved changes them
	if len(servers) == 0 {
		servers = []string{DefaultServer}
	}
	for _, server := range servers {
		if err := checkServer(server, set); err != nil {
			return nil, err
		}
	}
	s, err := newSession(set, cfg.Store)
	if err != nil {
		return nil, err
	}
	s.lost = cfg.Lost
	c := &Client{cfg: cfg, s: s, servers: servers, changed: make(chan struct{}), again: make(chan struct{}, 1), done: make(chan struct{})}
	c.replies = newReplies(s)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if cfg.OnEvent != nil {
		l := s.events.listen()
		c.loops.Go(func() { c.tell(l) })
	}
	return c, nil
}

func checkServer(server string, set *settings) error {
	u, err := url.Parse(server)
	if err != nil {
		return errors.New("client: a server's address is no URL")
	}
	if set.Dial != nil {
		return nil
	}
	switch u.Scheme {
	case "mqtt", "tcp", "mqtts", "tls", "ws", "wss", "unix":
	default:
		return fmt.Errorf("client: server %s: scheme is none of mqtt, mqtts, ws, wss, unix", u.Redacted())
	}
	if set.TLS != nil && (u.Scheme == "mqtt" || u.Scheme == "tcp" || u.Scheme == "ws") {
		return fmt.Errorf("client: server %s: TLS options with a scheme that has no TLS", u.Redacted())
	}
	return nil
}

func (c *Client) tell(l *listener) {
	for more := true; more; {
		var events []Event
		events, more = c.s.events.take(context.Background(), l)
		for _, e := range events {
			c.cfg.OnEvent(e)
		}
	}
}

// Connect starts connecting, if that has not begun, and returns when the
// client is connected, has stopped for good, or ctx ends, which stops nothing.
func (c *Client) Connect(ctx context.Context) error {
	c.Start()
	c.s.enter()
	defer c.s.leave()
	for {
		c.mu.Lock()
		state, err, changed, leaving := c.state, c.err, c.changed, c.leaving
		c.mu.Unlock()
		switch {
		case state == Connected && !leaving:
			return nil
		case state == Closed:
			return errOr(err, ErrClosed)
		case state == Idle: // Disconnect, or Retry's error
			return errOr(err, ErrNotConnected)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), errOr(err, ErrNotConnected))
		}
	}
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Start is Connect without the wait.
func (c *Client) Start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restart = c.running && c.leaving
	if !c.running && !c.closed {
		c.startLocked()
	}
}

func (c *Client) startLocked() {
	c.running = true
	ctx, halt := context.WithCancel(c.ctx)
	c.halt = halt
	c.setLocked(StateEvent{State: Connecting, Attempt: 1})
	c.loops.Go(func() {
		defer halt()
		c.loop(ctx)
	})
}

// State returns what the client is doing.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Err is why the client is not connected: the end of its last connection or
// attempt; nil while it is, or before the first.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Info returns what the server said; ok is false while there is none.
func (c *Client) Info() (info Info, ok bool) {
	if conn := c.conn(); conn != nil {
		return conn.info, true
	}
	return Info{}, false
}

func (c *Client) conn() *Conn {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.conn
}

// Publish sends a message and returns when the server has acknowledged it,
// through as many connections as that takes. At QoS 0 it returns when the
// message is in the buffer of the socket's writer, and ErrNotConnected while
// there is none. The payload is the caller's again then.
//
// When ctx ends first the error is ErrNotSent (the message is withdrawn) or
// ErrUnacknowledged (it stays in the outbox).
func (c *Client) Publish(ctx context.Context, m mqtt.Message) (Result, error) {
	return c.s.publish(ctx, &m)
}

// Enqueue takes a message into the outbox, and into the store at QoS 1 and 2,
// and returns without waiting for the server. At QoS 0 it waits there for a
// connection. A message with MessageExpiry that has not been sent when that
// ends is dropped, in every version.
func (c *Client) Enqueue(ctx context.Context, m mqtt.Message) (*Pending, error) {
	return c.s.enqueue(ctx, &m)
}

// Outbox lists the messages that are not acknowledged, those in flight first.
func (c *Client) Outbox() iter.Seq[Queued] { return c.s.outbox() }

// Cancel takes a message that has not been sent out of the outbox. It reports
// whether it could.
func (c *Client) Cancel(id uint64) bool { return c.s.cancelMessage(id) }

// Subscribe returns the server's answer for each subscription; a
// *SubscribeError if it refused any. The subscriptions are remembered from
// this call on, and made again whenever the server has lost them, until it
// refuses one or Unsubscribe is called; so without a connection the call
// waits for one.
func (c *Client) Subscribe(ctx context.Context, subs ...Subscription) ([]mqtt.ReasonCode, error) {
	return c.s.subscribe(ctx, subs)
}

// Unsubscribe gives filters up.
func (c *Client) Unsubscribe(ctx context.Context, filters ...string) ([]mqtt.ReasonCode, error) {
	return c.s.unsubscribe(ctx, nil, filters)
}

// UnsubscribeWith is Unsubscribe with User Properties, 5.0 only.
func (c *Client) UnsubscribeWith(ctx context.Context, user []mqtt.UserProperty, filters ...string) ([]mqtt.ReasonCode, error) {
	return c.s.unsubscribe(ctx, user, filters)
}

// Handle routes what matches filter to h, subscribed or not; nil takes the
// handler away.
func (c *Client) Handle(filter string, h Handler) error { return c.s.handleFilter(filter, h) }

// Events lists what happens from now on, until ctx or the client ends.
func (c *Client) Events(ctx context.Context) iter.Seq[Event] { return c.s.events.events(ctx) }

// Reauthenticate proves again who the client is; see Options.Auth.
func (c *Client) Reauthenticate(ctx context.Context) error {
	conn := c.conn()
	if conn == nil {
		return ErrNotConnected
	}
	return conn.Reauthenticate(ctx)
}

// Reconnect gives the connection up, with DISCONNECT, and makes a new one; or
// ends the pause before the next attempt. It does not wait.
func (c *Client) Reconnect() {
	if conn := c.conn(); conn != nil {
		conn.disconnect(packet.Disconnect{}, errReconnect)
	}
	select {
	case c.again <- struct{}{}:
	default:
	}
}

// Disconnect ends the connection and stays without one until the next Connect.
// The session, its outbox and its subscriptions stay. It does not wait.
func (c *Client) Disconnect(g Goodbye) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halt != nil {
		c.goodbye, c.leaving, c.restart = g.packet(), true, false
		c.halt()
	}
}

// Close ends everything: the connection with DISCONNECT, waiting calls with
// ErrClosed. It does not wait; Done does. Closing again is fine.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if !c.leaving {
		g := Goodbye{}
		if !c.s.set.durable && c.s.set.keeps {
			g.SessionExpiry = -1 // the server was to keep it through a broken connection only
		}
		c.goodbye = g.packet()
	}
	c.cancel()
	go c.finish()
	return nil
}

// finish waits for what Close has stopped. Calls that wait and handlers that
// run get their end first, since the loop may wait for them.
func (c *Client) finish() {
	defer close(c.done)
	if conn := c.conn(); conn != nil {
		conn.disconnect(c.goodbye, ErrClosed)
	}
	c.s.close(ErrClosed)
	c.mu.Lock()
	c.setLocked(StateEvent{State: Closed, Err: errOr(c.err, ErrClosed)})
	c.mu.Unlock()
	c.s.events.close()
	c.loops.Wait()
	c.s.handlersDone()
	c.s.closeStore()
}

// Done is closed when a closed client's goroutines have ended, handlers included.
func (c *Client) Done() <-chan struct{} { return c.done }

// Shutdown waits until the outbox is empty or ctx ends, closes, and waits for
// the handlers; what is left over stays in the store. It returns ctx's error
// if that ended first. In a handler and in OnEvent use Close, which does not
// wait for them.
func (c *Client) Shutdown(ctx context.Context) error {
	err := c.s.drain(ctx)
	c.Close()
	select {
	case <-c.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return err
}

func (s *session) drain(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.closed == nil && (s.messages > 0 || s.conn != nil && len(s.conn.out) > 0) {
		if err := s.waitLocked(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stats are numbers since New.
type Stats struct {
	Connects                   uint64
	Sent, Received             uint64 // PUBLISH packets
	Dropped                    uint64 // QoS 0 messages received, and no room for them
	Unmatched                  uint64 // messages without a handler
	OutboxMessages, OutboxSize int    // at present; in bytes
}

// Stats returns them.
func (c *Client) Stats() Stats {
	n := &c.s.count
	st := Stats{
		Connects: n.connects.Load(), Sent: n.sent.Load(), Received: n.received.Load(),
		Dropped: n.dropped.Load(), Unmatched: n.unmatched.Load(),
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	st.OutboxMessages, st.OutboxSize = c.s.messages, c.s.bytes
	return st
}
