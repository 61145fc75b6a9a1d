package midge

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/trace"
)

// A greeting is a CONNECT that has not been answered yet, in memory of its own.
type greeting struct {
	hello        Connect
	will         *will
	method       string
	hasMethod    bool
	expiry       uint32 // Session Expiry Interval asked for, seconds
	peer         mqtt.Limits
	wantResponse bool
	authData     []byte // the last of the server's, for CONNACK
}

// connect takes CONNECT as far as it can be answered: at once, or after an
// exchange of AUTH packets.
func (c *conn) connect(sc *scratch, p *packet.Connect) (over bool, err error) {
	g := c.greet(p)
	c.extras().greeting = g
	c.outbox.mu.Lock()
	c.outbox.w.Greet(p.Version, g.peer, !p.Properties.Has(packet.PropRequestProblemInformation) ||
		p.Properties.RequestProblemInformation == 1)
	c.outbox.mu.Unlock()

	if refusal := c.judge(p, g); refusal != nil {
		return true, refusal
	}
	ctx, cancel := c.patience()
	defer cancel()
	if g.hasMethod {
		return c.authBegin(ctx, sc, p.Properties.AuthenticationData)
	}
	if hook := c.b.set.Hooks.Authenticate; hook != nil {
		c.mayWait(sc)
		err := c.b.contain("Authenticate", func() error { return hook(ctx, &g.hello) })
		if refusal := refusalOf(err); refusal != nil {
			c.b.count.denied.connects.Add(1)
			return true, refusal
		}
	}
	return c.admit(ctx, sc)
}

// patience is the context of what the handshake waits for. It ends with
// ConnectTimeout, counted from accept; once that is over, with the connection.
func (c *conn) patience() (context.Context, context.CancelFunc) {
	switch {
	case c.session != nil:
		return c.context(), func() {}
	case c.b.keep == nil && c.b.set.Hooks.Authenticate == nil && c.b.set.Hooks.Enhanced == nil:
		return c.b.ctx, func() {} // there is nothing to wait for but claim's predecessor
	}
	return c.greetingContext()
}

// greet copies what CONNECT says.
func (c *conn) greet(p *packet.Connect) *greeting {
	g := &greeting{peer: mqtt.Unlimited(), hello: Connect{
		Remote:      c.remote(),
		Version:     p.Version,
		ClientID:    string(p.ClientID),
		Username:    string(p.Username),
		HasUsername: p.HasUsername,
		CleanStart:  p.CleanStart,
		KeepAlive:   p.KeepAlive,
	}}
	if p.HasPassword {
		g.hello.Password = append([]byte{}, p.Password...)
	}
	g.peer.TopicAliasMaximum = 0
	if p.Version != mqtt.V5 {
		// [MQTT-3.1.2-4, 3.1.1] [MQTT-3.1.2-6, 3.1.1]
		if !p.CleanStart {
			g.expiry = mqtt.NeverExpires
		}
	} else {
		c.greet5(p, g)
	}
	if p.HasWill {
		g.will = newWill(&p.Will)
	}
	return g
}

func (c *conn) greet5(p *packet.Connect, g *greeting) {
	props := p.Properties
	g.expiry = props.SessionExpiryInterval
	if props.ReceiveMaximum > 0 {
		g.peer.ReceiveMaximum = props.ReceiveMaximum
	}
	if props.MaximumPacketSize > 0 {
		g.peer.MaxPacketSize = min(props.MaximumPacketSize, mqtt.MaxPacketSize)
	}
	g.peer.TopicAliasMaximum = min(props.TopicAliasMaximum, uint16(max(c.b.set.MaxAliasesOut, 0)))
	g.wantResponse = props.RequestResponseInformation == 1
	g.hasMethod = props.Has(packet.PropAuthenticationMethod)
	g.method = string(props.AuthenticationMethod)
	for name, value := range props.Users.All() {
		g.hello.Properties = append(g.hello.Properties, mqtt.UserProperty{Name: string(name), Value: string(value)})
	}
}

// judge refuses what is well-formed but not to be had here.
func (c *conn) judge(p *packet.Connect, g *greeting) *Refusal {
	id := &g.hello.ClientID
	switch limits := &c.b.set.limits; {
	case p.Version == mqtt.V31 && (*id == "" || utf8.RuneCountInString(*id) > 23):
		return &Refusal{Code: mqtt.ClientIdentifierNotValid, Reason: "MQTT 3.1 wants 1 to 23 characters"}
	case p.Version == mqtt.V311 && *id == "" && !p.CleanStart:
		// [MQTT-3.1.3-8, 3.1.1]
		return &Refusal{Code: mqtt.ClientIdentifierNotValid, Reason: "an empty identifier needs a clean session"}
	case g.will != nil && g.will.m.qos > limits.MaxQoS:
		return &Refusal{Code: mqtt.QoSNotSupported, Reason: "will"} // [MQTT-3.2.2-12, 5.0]
	case g.will != nil && g.will.m.retain && !limits.RetainAvailable:
		return &Refusal{Code: mqtt.RetainNotSupported, Reason: "will"} // [MQTT-3.2.2-13, 5.0]
	case g.will != nil && c.b.bounds.Load().outsized(g.will.m.topic) != nil:
		c.b.count.limited.topics.Add(1)
		return c.b.bounds.Load().outsized(g.will.m.topic)
	case g.will != nil && g.will.m.topic[0] == '$':
		return &Refusal{Code: mqtt.NotAuthorized, Reason: "topics that begin with $ are the server's"}
	}
	if *id == "" {
		// [MQTT-3.1.3-6, 5.0] [MQTT-3.1.3-7, 5.0] [MQTT-3.1.3-6, 3.1.1]
		*id, g.hello.Assigned = "midge-"+rand.Text()[:16], true
	}
	return nil
}

// admit lets the client in: session, CONNACK, and what was waiting.
func (c *conn) admit(ctx context.Context, sc *scratch) (over bool, err error) {
	g := c.greeting()
	keepAlive, imposed := g.hello.KeepAlive, false
	if top := c.b.set.keepAliveMax; top > 0 && g.hello.Version == mqtt.V5 && (keepAlive == 0 || keepAlive > top) {
		keepAlive, imposed = top, true // [MQTT-3.2.2-21, 5.0] [MQTT-3.2.2-22, 5.0]
	}
	c.version, c.cleanStart = g.hello.Version, g.hello.CleanStart
	if c.user = nil; g.hello.Username != "" {
		name := g.hello.Username // apart from the greeting, which has the password
		c.user = &name
	}
	if until := g.hello.Until; !until.IsZero() && !until.After(sc.now) {
		return true, &Refusal{Code: mqtt.NotAuthorized, Reason: "the credentials have expired"}
	}
	c.checkWill(g)
	c.expiry.Store(min(g.expiry, c.b.set.expiryMax))
	limits := c.b.set.limits
	if c.version != mqtt.V5 {
		limits.ReceiveMaximum, limits.TopicAliasMaximum = 65535, 0
	}
	if c.b.keep != nil {
		c.mayWait(sc) // for the disk
	}
	s, present, err := c.b.claim(sc, c, g.hello.CleanStart)
	if err != nil {
		return true, err
	}
	c.in.Open(limits)
	c.timer.Open(c.b.since(sc.now), keepAlive)
	undo, err := s.reserve(ctx, c, g, present)
	if err != nil || !s.resume(c, &sc.batch, g, c.connack(g, present, imposed)) {
		undo()
		c.b.release(s, !present)
		return true, err // nil: the last word came first
	}
	c.greeted()
	c.lease(g.hello.Until)
	c.b.count.connects.Add(1)
	c.tell(trace.Connected, mqtt.Success, "")
	if c.b.log.Enabled(c.b.ctx, slog.LevelDebug) {
		c.b.log.Debug("client connected", "client", c.id(), "remote", c.nc.RemoteAddr(),
			"version", c.version.String(), "session_present", present)
	}
	if hook := c.b.set.Hooks.Connected; hook != nil {
		c.mayWait(sc)
		ctx, end := c.hookContext()
		c.b.contain("Connected", func() error { hook(ctx, c.info()); return nil })
		end()
	}
	return false, nil
}

// connack announces what is in force.
func (c *conn) connack(g *greeting, present, imposed bool) *packet.Connack {
	k := &packet.Connack{SessionPresent: present && c.version != mqtt.V31}
	if c.version != mqtt.V5 {
		return k
	}
	set, p := c.b.set, new(packet.Properties)
	k.Properties = p
	if e := c.expiry.Load(); e != g.expiry {
		p.SessionExpiryInterval = e
		p.Present = p.Present.With(packet.PropSessionExpiryInterval)
	}
	if set.limits.ReceiveMaximum != 65535 {
		p.ReceiveMaximum = set.limits.ReceiveMaximum
	}
	if set.limits.MaxQoS < mqtt.ExactlyOnce {
		p.MaximumQoS = byte(set.limits.MaxQoS)
		p.Present = p.Present.With(packet.PropMaximumQoS)
	}
	p.MaximumPacketSize = set.limits.MaxPacketSize
	p.TopicAliasMaximum = set.limits.TopicAliasMaximum
	for _, off := range []struct {
		is bool
		id packet.PropertyID
	}{
		{!set.limits.RetainAvailable, packet.PropRetainAvailable},
		{!set.limits.WildcardAvailable, packet.PropWildcardSubscriptionAvailable},
		{!set.limits.SubscriptionIDs, packet.PropSubscriptionIdentifierAvailable},
		{!set.limits.SharedAvailable, packet.PropSharedSubscriptionAvailable},
	} {
		if off.is {
			p.Present = p.Present.With(off.id)
		}
	}
	if imposed {
		p.ServerKeepAlive = c.timer.KeepAlive()
	}
	if g.hello.Assigned {
		p.AssignedClientIdentifier = []byte(c.id()) // [MQTT-3.2.2-16, 5.0]
	}
	if g.wantResponse && set.ResponseInformation != "" {
		p.ResponseInformation = []byte(set.ResponseInformation) // [MQTT-3.1.2-28, 5.0]
	}
	if g.hasMethod {
		p.AuthenticationMethod = []byte(g.method) // [MQTT-4.12.0-5, 5.0]
		p.AuthenticationData = g.authData
	}
	return k
}

// resume puts c in charge of the session, answers CONNECT and sends what
// waited. False is a connection that ended before: it gets no CONNACK behind
// its last word, and the session is left as it was.
func (s *session) resume(c *conn, by *batch, g *greeting, k *packet.Connack) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok := c.send(func(w *link.Writer, out []byte) []byte {
		c.session = s // before anyone can find c here
		out = w.Connack(out, k)
		w.Open()
		return out
	})
	if !ok {
		c.disown()
		return false
	}
	s.setAccessLocked(individual(g.hello.Access, s.id, c.remote)) // here: Reauthorize has been by, or will be
	s.stopTimersLocked()
	s.will.letGo(s.b)
	s.setWillLocked(nil) // [MQTT-3.1.3-9, 5.0] a delayed will is off when the client is back in time
	if s.in != nil {
		s.in.Resume(c.in.Limits().ReceiveMaximum)
	}
	if s.out != nil {
		s.out.Resume(s.windowOf(c))
	}
	if g.will != nil {
		g.will.m.origin, g.will.info = s.id, c.info()
		g.will.hold(s.b)
		c.setWill(g.will)
	}
	s.conn.Store(c)
	s.pumpLocked(c, by)
	return true
}

// disown takes back that the session is c's: its CONNACK was the last word, or
// came behind it.
func (c *conn) disown() {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	c.session = nil
}

// authBegin starts the exchange CONNECT asks for.
func (c *conn) authBegin(ctx context.Context, sc *scratch, data []byte) (bool, error) {
	c.in.SetMethod([]byte(c.greeting().method))
	return c.authRun(ctx, sc, c.greeting().method, data)
}

// authContinue takes an AUTH: the next step of an exchange, or the first of a
// re-authentication [MQTT-4.12.1-1, 5.0].
func (c *conn) authContinue(sc *scratch, p *packet.Auth) (bool, error) {
	if p.Code == mqtt.Reauthenticate {
		c.authenticating().exchange = nil
	}
	ctx, cancel := c.patience()
	defer cancel()
	return c.authRun(ctx, sc, string(p.Properties.AuthenticationMethod), p.Properties.AuthenticationData)
}

// authRun lets the exchange take one step and says how it went.
func (c *conn) authRun(ctx context.Context, sc *scratch, method string, data []byte) (bool, error) {
	a := c.authenticating()
	if a.exchange == nil {
		a.asked = c.greeting().orInfo(c)
		if hook := c.b.set.Hooks.Enhanced; hook != nil {
			c.mayWait(sc)
			c.b.contain("Enhanced", func() error { a.exchange = hook(ctx, a.asked, method); return nil })
		}
		if a.exchange == nil {
			return true, &Refusal{Code: mqtt.BadAuthenticationMethod} // [MQTT-4.12.0-1, 5.0]
		}
	}
	c.mayWait(sc)
	var reply []byte
	var done bool
	err := c.b.contain("Exchange.Step", func() (err error) {
		reply, done, err = a.exchange.Step(ctx, data)
		return err
	})
	if refusal := refusalOf(err); refusal != nil {
		c.b.count.denied.connects.Add(1)
		return true, refusal // [MQTT-4.12.0-4, 5.0] [MQTT-4.12.1-2, 5.0]
	}
	if done && c.session == nil {
		c.greeting().authData = reply
		return c.admit(ctx, sc)
	}
	answer := packet.Auth{Code: mqtt.ContinueAuthentication} // [MQTT-4.12.0-2, 5.0]
	if done {
		answer.Code = mqtt.Success
		a.exchange = nil
		c.lease(a.asked.Until)
		c.b.index.Renew() // its Access may answer otherwise now
		c.in.Reauthenticated()
	}
	answer.Properties = &packet.Properties{AuthenticationMethod: []byte(method), AuthenticationData: reply}
	c.send(func(w *link.Writer, out []byte) []byte { return w.Auth(out, &answer) })
	return false, nil
}

// An authentication is what a connection has to do with one that goes on.
type authentication struct {
	exchange Exchange
	asked    *Connect    // what exchange was told of the client, and tells of it
	expires  *time.Timer // ends the connection with the credentials
}

func (c *conn) authenticating() *authentication {
	x := c.extras()
	if x.auth == nil {
		x.auth = new(authentication)
	}
	return x.auth
}

// orInfo is what an exchange is told of the client: its CONNECT, or later on
// what is left of it.
func (g *greeting) orInfo(c *conn) *Connect {
	if g != nil {
		return &g.hello
	}
	return &Connect{
		Remote: c.remote(), Version: c.version, ClientID: c.id(),
		Username: c.username(), KeepAlive: c.timer.KeepAlive(), CleanStart: c.cleanStart, Access: c.access(),
	}
}
