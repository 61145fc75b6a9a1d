package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// An Attempt is one try to connect, for Config.BeforeConnect to change.
type Attempt struct {
	Number  int     // since the last connection; 1 is the first
	Server  string  // URL, user and password included
	Options Options // of this attempt alone; what concerns the session (ClientID, outbox, handlers) is settled
}

// connect makes a connection and puts the session on it.
func (s *session) connect(ctx context.Context, a *Attempt) (*Conn, error) {
	set, err := a.Options.resolve()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, set.ConnectTimeout, errLate)
	defer cancel()
	u, err := url.Parse(a.Server)
	if err != nil {
		return nil, errors.New("client: the server's address is no URL")
	}
	userinfo(set, u)
	first := set.Version
	if first == 0 {
		first = mqtt.V5
	}
	c, err := s.greet(ctx, set, u, first)
	var refused *ConnectError
	// Enhanced authentication is not to be had before 5.0, nor left out because
	// somebody says so.
	if set.Version == 0 && set.Auth == nil && errors.As(err, &refused) && refused.Code == mqtt.UnsupportedProtocolVersion {
		c, err = s.greet(ctx, set, u, mqtt.V311)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return c, err
}

var errLate = errors.New("client: the server did not answer in time")

// userinfo takes user and password out of the URL; the Options' own win.
func userinfo(set *settings, u *url.URL) {
	if u.User != nil && set.Username == "" && set.Password == nil {
		set.Username = u.User.Username()
		if pw, ok := u.User.Password(); ok {
			set.Password = []byte(pw)
		}
	}
	u.User = nil
}

// greet dials, says CONNECT in version v and waits for CONNACK.
func (s *session) greet(ctx context.Context, set *settings, u *url.URL, v mqtt.Version) (*Conn, error) {
	nc, err := set.dial(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	// Past deadlines end whatever the greeting waits for.
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	c := &Conn{
		s: s, set: set, nc: nc, epoch: time.Now(), version: v,
		wake: make(chan struct{}, 1), read: make(chan struct{}), done: make(chan struct{}), reauth: make(chan authStep, 1),
	}
	c.info = Info{Server: u.String(), Version: v}
	c.in.Init(link.Client, v, uint32(set.MaxPacketSize))
	c.w.Init(link.Client, v)
	err = c.handshake(ctx, set)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		nc.Close()
		return nil, s.closed
	}
	s.count.connects.Add(1)
	s.attachLocked(c)
	go c.run()
	return c, nil
}

// handshake goes from CONNECT to a CONNACK that lets the client in.
func (c *Conn) handshake(ctx context.Context, set *settings) error {
	connect, err := c.connectPacket(ctx, set)
	if err != nil {
		return err
	}
	if _, err := c.nc.Write(connect.Append(nil)); err != nil {
		return fmt.Errorf("client: write: %w", err)
	}
	for {
		t, n, err := c.nextGreeting()
		if err != nil {
			return c.mistaken(err)
		}
		switch p := &c.packets; t {
		case packet.CONNACK:
			err = c.connack(ctx, set, &p.Connack, connect)
			c.buf.Took(n)
			if fault := new(packet.Error); errors.As(err, &fault) {
				return c.mistaken(err)
			}
			return err
		case packet.AUTH:
			if err := c.authDuringConnect(ctx, set, &p.Auth); err != nil {
				return err
			}
		case packet.DISCONNECT:
			return disconnectError(&p.Disconnect)
		}
		c.buf.Took(n)
	}
}

// mistaken says why the connection is given up. Nothing goes to the server:
// it has not let us in.
func (c *Conn) mistaken(err error) error {
	var fault *packet.Error
	if errors.As(err, &fault) {
		return fmt.Errorf("client: the server broke the protocol: %w", err)
	}
	return err
}

// nextGreeting reads one packet of the greeting.
func (c *Conn) nextGreeting() (packet.Type, int, error) {
	for {
		if b := c.buf.Unread(); c.version == mqtt.V5 && len(b) >= 4 && string(b[:4]) == "\x20\x02\x00\x01" {
			// A server that knows no 5.0 answers in its own way.
			return 0, 0, &ConnectError{Code: mqtt.UnsupportedProtocolVersion, Return: mqtt.RefusedVersion}
		}
		t, n, need, err := c.in.Next(c.buf.Unread(), &c.packets)
		if n > 0 || err != nil {
			return t, n, err
		}
		c.buf.Want(need)
		read, err := c.nc.Read(c.buf.Space())
		c.buf.Wrote(read)
		if err != nil && read == 0 {
			return 0, 0, fmt.Errorf("client: no CONNACK: %w", err)
		}
	}
}

// connectPacket says who we are and what we want.
func (c *Conn) connectPacket(ctx context.Context, set *settings) (*packet.Connect, error) {
	c.s.mu.Lock()
	known, id := c.s.known, c.s.clientID
	c.s.mu.Unlock()
	p := &packet.Connect{
		Version: c.version, KeepAlive: set.keepAlive, ClientID: []byte(id),
		CleanStart: set.cleanStart(c.version, known),
		Username:   []byte(set.Username), Password: set.Password,
		HasUsername: set.Username != "" || set.Password != nil && c.version != mqtt.V5, // [MQTT-3.1.2-22, 3.1.1]
		HasPassword: set.Password != nil,
		Properties:  &packet.Properties{},
	}
	q := p.Properties
	if set.keeps {
		q.SessionExpiryInterval = set.expiry
	}
	q.ReceiveMaximum = set.limits.ReceiveMaximum
	q.MaximumPacketSize = set.limits.MaxPacketSize
	q.TopicAliasMaximum = set.limits.TopicAliasMaximum
	if set.RequestResponseInfo {
		q.RequestResponseInformation = 1
	}
	if set.NoProblemInfo {
		q.Present = q.Present.With(packet.PropRequestProblemInformation)
	}
	q.Users = encodeUsers(set.User)
	if w := set.Will; w != nil {
		p.HasWill, p.Will = true, encodeWill(w)
	}
	if set.Auth != nil && c.version == mqtt.V5 {
		data, err := set.Auth.Start(ctx)
		if err != nil {
			return nil, fmt.Errorf("client: authentication: %w", err)
		}
		// [X5-4.12-a]
		q.AuthenticationMethod, q.AuthenticationData = []byte(set.Auth.Method()), data
		c.in.SetMethod(q.AuthenticationMethod)
	}
	return p, nil
}

// cleanStart decides whether the server is to forget us first.
func (set *settings) cleanStart(v mqtt.Version, known bool) bool {
	switch {
	case !set.keeps, v != mqtt.V5 && !set.durable:
		return true
	case known:
		return false // not in the middle of things
	}
	return set.CleanStart || !set.durable
}

func encodeWill(w *Will) packet.Will {
	p := packet.Will{
		Topic: []byte(w.Topic), Payload: w.Payload, QoS: w.QoS, Retain: w.Retain,
		Properties: &packet.Properties{
			WillDelayInterval: uint32(w.Delay / time.Second), ContentType: field(w.ContentType),
			ResponseTopic: field(w.ResponseTopic), CorrelationData: w.CorrelationData, Users: encodeUsers(w.User),
		},
	}
	q := p.Properties
	if w.PayloadUTF8 {
		q.PayloadFormatIndicator = 1
	}
	if w.HasExpiry {
		q.MessageExpiryInterval = w.MessageExpiry
		q.Present = q.Present.With(packet.PropMessageExpiryInterval)
	}
	return p
}

// field is s as a property, nil for one that is absent.
func field(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// connack takes the server's answer.
func (c *Conn) connack(ctx context.Context, set *settings, p *packet.Connack, asked *packet.Connect) error {
	if p.Return != mqtt.Accepted || p.Code.Failed() {
		return connectError(p, c.version)
	}
	// [MQTT-3.2.2-4, 5.0] there is nothing on our side to go with it.
	if p.SessionPresent && asked.CleanStart {
		return &packet.Error{Code: mqtt.ProtocolError, Text: "Session Present although a clean start was asked for"}
	}
	c.info.SessionPresent = p.SessionPresent
	c.info.Limits = mqtt.Unlimited()
	c.info.ClientID = string(asked.ClientID)
	keepAlive := asked.KeepAlive
	if c.version == mqtt.V5 {
		q := p.Properties
		keepAlive = c.announced(q, keepAlive, asked.Properties.SessionExpiryInterval)
		if set.Auth != nil {
			if err := set.Auth.Finish(ctx, append([]byte(nil), q.AuthenticationData...)); err != nil {
				return fmt.Errorf("client: authentication: the server's proof: %w", err)
			}
		}
	}
	c.info.KeepAlive = time.Duration(keepAlive) * time.Second
	c.open(set, keepAlive)
	return nil
}

// announced takes down what a 5.0 server said and returns the keep alive in
// force [MQTT-3.1.2-21, 5.0] [MQTT-3.2.2-21, 5.0].
func (c *Conn) announced(q *packet.Properties, keepAlive uint16, expiry uint32) uint16 {
	l := &c.info.Limits
	l.ReceiveMaximum = or(q, packet.PropReceiveMaximum, q.ReceiveMaximum, l.ReceiveMaximum)
	l.MaxPacketSize = or(q, packet.PropMaximumPacketSize, q.MaximumPacketSize, l.MaxPacketSize)
	l.MaxQoS = or(q, packet.PropMaximumQoS, mqtt.QoS(q.MaximumQoS), l.MaxQoS)
	l.RetainAvailable = or(q, packet.PropRetainAvailable, q.RetainAvailable, 1) == 1
	l.WildcardAvailable = or(q, packet.PropWildcardSubscriptionAvailable, q.WildcardSubscriptionAvailable, 1) == 1
	l.SubscriptionIDs = or(q, packet.PropSubscriptionIdentifierAvailable, q.SubscriptionIdentifierAvailable, 1) == 1
	l.SharedAvailable = or(q, packet.PropSharedSubscriptionAvailable, q.SharedSubscriptionAvailable, 1) == 1
	l.TopicAliasMaximum = q.TopicAliasMaximum
	if len(q.AssignedClientIdentifier) > 0 {
		c.info.ClientID = string(q.AssignedClientIdentifier)
	}
	granted := or(q, packet.PropSessionExpiryInterval, q.SessionExpiryInterval, expiry)
	c.info.SessionExpiry = time.Duration(granted) * time.Second
	c.info.ResponseInfo = string(q.ResponseInformation)
	c.info.Reason = string(q.ReasonString)
	c.info.User = users(q)
	return or(q, packet.PropServerKeepAlive, q.ServerKeepAlive, keepAlive)
}

func or[T any](q *packet.Properties, id packet.PropertyID, said, otherwise T) T {
	if q.Has(id) {
		return said
	}
	return otherwise
}

// open moves the link on from greeting to session.
func (c *Conn) open(set *settings, keepAlive uint16) {
	c.in.Open(set.limits)
	peer := c.info.Limits
	peer.TopicAliasMaximum = min(peer.TopicAliasMaximum, uint16(max(set.MaxAliases, 0)))
	if c.version != mqtt.V5 {
		peer.TopicAliasMaximum = 0
	}
	c.w.SetPeer(peer)
	c.w.Open()
	c.timer.Open(time.Since(c.epoch), keepAlive)
}

// dial opens the transport.
func (set *settings) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	if set.Dial != nil {
		return set.Dial(ctx, u)
	}
	return set.dialTransport(ctx, u)
}
