package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/internal/readbuf"
	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A Conn is one connection, for programs that want to see each end of it; a
// Client makes one after the other. What is unfinished when it ends has
// failed. All methods may be called from anywhere, handlers included.
type Conn struct {
	// Immutable once it is open.
	s       *session
	set     *settings // of the attempt that made it
	nc      net.Conn
	epoch   time.Time
	version mqtt.Version
	info    Info
	wake    chan struct{} // one token: the writer has something to look at
	read    chan struct{} // closed when the reader has ended
	done    chan struct{} // closed when all has
	reauth  chan authStep // what the server answers to Reauthenticate

	// Owned by the reader.
	in      link.Reader
	packets link.Packets
	buf     readbuf.Buffer
	topics  map[string]string   // names seen, so that each is made once
	ids     map[uint32][]uint32 // the same for a single Subscription Identifier
	part    partial

	// Used by anyone.
	stalled atomic.Bool // the reader waits for handlers
	over    atomic.Bool // ending, for those without the lock

	// Guarded by s.mu.
	w              link.Writer
	timer          link.Pinger
	out, spare     []byte
	ending         bool // no more packets but what is in out
	err            error
	reauthenticate bool // an exchange of Reauthenticate is under way
}

// Info is what the server said when it let the client in.
type Info struct {
	Server         string // the URL, without password
	Version        mqtt.Version
	ClientID       string // assigned, if so
	SessionPresent bool
	Limits         mqtt.Limits
	KeepAlive      time.Duration // in force; 0: none
	SessionExpiry  time.Duration // granted
	ResponseInfo   string
	Reason         string
	User           []mqtt.UserProperty
}

// Dial makes one connection to the server at a URL: mqtt, mqtts, ws, wss or
// unix; user and password may be in it. ctx bounds the making alone. The
// session is new and ends with the connection.
func Dial(ctx context.Context, server string, o Options) (*Conn, error) {
	if o.SessionExpiry == 0 {
		o.SessionExpiry = -1
	}
	set, err := o.resolve()
	if err != nil {
		return nil, err
	}
	s, err := newSession(set, nil)
	if err != nil {
		return nil, err
	}
	s.standalone = true
	c, err := s.connect(ctx, &Attempt{Number: 1, Server: server, Options: set.Options})
	if err != nil {
		s.close(err)
		s.handlersDone()
		return nil, err
	}
	return c, nil
}

// Info returns what the server said at the start.
func (c *Conn) Info() Info { return c.info }

// Publish sends a message and returns when the server has acknowledged it; at
// QoS 0, when it is in the buffer of the socket's writer. It waits for room
// in the window and the outbox. The payload is the caller's again then.
//
// When ctx ends first the error is ErrNotSent or ErrUnacknowledged.
func (c *Conn) Publish(ctx context.Context, m mqtt.Message) (Result, error) {
	return c.s.publish(ctx, &m)
}

// Enqueue takes a message into the outbox and returns without waiting for the
// server.
func (c *Conn) Enqueue(ctx context.Context, m mqtt.Message) (*Pending, error) {
	return c.s.enqueue(ctx, &m)
}

// Subscribe returns the server's answer for each subscription; a
// *SubscribeError if it refused any.
func (c *Conn) Subscribe(ctx context.Context, subs ...Subscription) ([]mqtt.ReasonCode, error) {
	return c.s.subscribe(ctx, subs)
}

// Unsubscribe gives filters up.
func (c *Conn) Unsubscribe(ctx context.Context, filters ...string) ([]mqtt.ReasonCode, error) {
	return c.s.unsubscribe(ctx, nil, filters)
}

// Handle routes what matches filter to h, subscribed or not; nil takes the
// handler away.
func (c *Conn) Handle(filter string, h Handler) error { return c.s.handleFilter(filter, h) }

// Events lists what happens from now on, until ctx or the connection ends.
func (c *Conn) Events(ctx context.Context) iter.Seq[Event] { return c.s.events.events(ctx) }

// Done is closed when the connection has ended and its goroutines with it.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection ended; nil while it has not, ErrClosed after Close.
func (c *Conn) Err() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.err
}

// Close sends DISCONNECT and closes. It does not wait for handlers; Done
// does. Closing again is fine.
func (c *Conn) Close() error {
	c.Disconnect(Goodbye{})
	return nil
}

// Disconnect is Close with more to say.
func (c *Conn) Disconnect(g Goodbye) { c.disconnect(g.packet(), ErrClosed) }

// A Goodbye is what DISCONNECT tells a 5.0 server; an older one learns nothing
// but that the end is wanted. The zero value is the normal end.
type Goodbye struct {
	Code   mqtt.ReasonCode // DisconnectWithWill makes the server publish the will
	Reason string
	User   []mqtt.UserProperty

	// SessionExpiry changes how long the server keeps the session, whole
	// seconds; 0: as it was; negative: it ends now.
	SessionExpiry time.Duration
}

func (g Goodbye) packet() packet.Disconnect {
	p := packet.Disconnect{Code: g.Code, Properties: &packet.Properties{ReasonString: field(g.Reason), Users: encodeUsers(g.User)}}
	if g.SessionExpiry != 0 {
		p.Properties.SessionExpiryInterval = uint32(min(max(g.SessionExpiry/time.Second, 0), mqtt.NeverExpires))
		p.Properties.Present = p.Properties.Present.With(packet.PropSessionExpiryInterval)
	}
	return p
}

func (c *Conn) disconnect(p packet.Disconnect, why error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.ending {
		return
	}
	c.out = c.w.Disconnect(c.out, &p)
	c.stopLocked(why)
}

// endLocked ends the connection for err. A failure code goes to the server as
// the last word, where the protocol has one [X5-4.13.1-a].
func (c *Conn) endLocked(err error, code mqtt.ReasonCode) {
	if c.ending {
		return
	}
	if code.Failed() && c.version == mqtt.V5 {
		c.out = c.w.Disconnect(c.out, &packet.Disconnect{Code: code})
	} else {
		c.out = c.out[:0]
	}
	c.stopLocked(err)
}

// linger is how long the last words may take.
const linger = time.Second

// stopLocked lets the writer say what is in out and close.
func (c *Conn) stopLocked(err error) {
	c.ending, c.err = true, err
	c.over.Store(true)
	c.nc.SetWriteDeadline(time.Now().Add(linger))
	c.wakeWriter()
	for _, l := range c.s.lanes {
		l.nudge()
	}
	c.s.changedLocked()
}

// end is endLocked for the reader's and the writer's findings.
func (c *Conn) end(err error) {
	code := mqtt.Success
	var fault *packet.Error
	if errors.As(err, &fault) {
		code = fault.Code
		if !c.sayable(code) {
			code = mqtt.ProtocolError
		}
		err = fmt.Errorf("client: the server broke the protocol: %w", err)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.endLocked(err, code)
}

// sayable reports whether a client's DISCONNECT may carry code (5.0, table 3-10).
func (c *Conn) sayable(code mqtt.ReasonCode) bool {
	switch code {
	case mqtt.PacketIdentifierInUse, mqtt.QoSNotSupported, mqtt.RetainNotSupported:
		return false
	}
	return true
}

// run is the connection's life once it is open.
func (c *Conn) run() {
	defer close(c.done)
	go func() {
		defer close(c.read)
		c.end(c.readLoop())
		c.abandonPart()
	}()
	c.writeLoop()
	c.hangUp()
	<-c.read
	c.s.detach(c, c.Err())
	if c.s.standalone {
		c.s.handlersDone()
		c.s.events.close()
	}
}

// hangUp closes after an orderly end: bytes nobody has read would make the
// system reset the connection, and the server lose our last words.
func (c *Conn) hangUp() {
	defer c.nc.Close()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(linger))
	<-c.read
}

func (c *Conn) readLoop() error {
	c.topics, c.ids = make(map[string]string), make(map[uint32][]uint32)
	for {
		if c.over.Load() {
			_, err := io.Copy(io.Discard, c.nc)
			return err
		}
		if err := c.batch(); err != nil {
			return err
		}
		n, err := c.nc.Read(c.buf.Space())
		c.buf.Wrote(n)
		if err != nil && n == 0 {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("client: the server closed the connection: %w", err)
			}
			return err
		}
	}
}

// batch handles every whole packet read so far.
func (c *Conn) batch() error {
	defer c.heard()
	for {
		took, wait := c.takePart()
		if wait {
			return nil
		}
		if took {
			continue
		}
		t, n, need, err := c.in.Next(c.buf.Unread(), &c.packets)
		if err != nil {
			return err
		}
		if n == 0 {
			if len(c.buf.Unread()) > 0 && c.beginPart(need) {
				continue
			}
			c.buf.Want(need)
			return nil
		}
		if err := c.handle(t); err != nil {
			return err
		}
		c.buf.Took(n)
	}
}

// heard notes that something was read: any packet, and any part of one, shows
// that the server is there.
func (c *Conn) heard() {
	c.s.mu.Lock()
	c.timer.Heard(time.Since(c.epoch))
	c.s.mu.Unlock()
}

func (c *Conn) handle(t packet.Type) error {
	p := &c.packets
	switch t {
	case packet.PUBLISH:
		return c.publish(&p.Publish)
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		if err := c.wanted(p.Ack.Properties); err != nil {
			return err
		}
		c.s.acked(c, &p.Ack)
	case packet.PUBREL:
		c.s.pubrel(c, p.Ack.ID)
	case packet.SUBACK, packet.UNSUBACK:
		if err := c.wanted(p.Suback.Properties); err != nil {
			return err
		}
		return c.s.answered(&p.Suback)
	case packet.DISCONNECT:
		return disconnectError(&p.Disconnect)
	case packet.AUTH:
		return c.authStep(&p.Auth)
	}
	return nil
}

// wanted refuses words the server was asked to leave out [X5-3.1.2.11.7-a].
func (c *Conn) wanted(p *packet.Properties) error {
	if c.set.NoProblemInfo && p != nil && (p.Has(packet.PropReasonString) || p.Has(packet.PropUserProperty)) {
		return &packet.Error{Code: mqtt.ProtocolError, Text: "Reason String or User Property that was not wanted"}
	}
	return nil
}

// publish takes one whole message in.
func (c *Conn) publish(p *packet.Publish) error {
	if p.QoS > mqtt.AtMostOnce {
		if deliver, err := c.s.arrives(c, p); !deliver {
			return err
		}
	}
	c.s.count.received.Add(1)
	m := c.message(p)
	m.Payload = append(make([]byte, 0, len(p.Payload)), p.Payload...)
	m.Total = len(m.Payload)
	c.push(m, false)
	return nil
}

func (c *Conn) push(m Message, must bool) {
	if c.s.answersRequest(&m) {
		return
	}
	if !c.s.lane(m.Topic).push(m, must, c) {
		c.s.count.dropped.Add(1)
		c.s.events.emit(DroppedEvent{m.Topic})
	}
}

// message is p without its payload, in memory of its own.
func (c *Conn) message(p *packet.Publish) Message {
	m := Message{Dup: p.Dup, from: c, id: p.ID}
	m.Topic, m.QoS, m.Retain = c.name(p.Topic), p.QoS, p.Retain
	if p.QoS == mqtt.ExactlyOnce {
		m.era = c.s.currentEra()
	}
	if q := p.Properties; q != nil && q.Present != 0 {
		m.Properties = public(q)
		m.SubscriptionIDs = c.identifiers(q)
	}
	return m
}

func (c *Conn) identifiers(q *packet.Properties) (out []uint32) {
	first := q.SubscriptionIdentifier
	if first == 0 {
		return nil
	}
	n := 0
	for range q.IDs.All() {
		n++
	}
	if one := c.ids[first]; one != nil && n == 1 {
		return one
	}
	for id := range q.IDs.All() {
		out = append(out, id)
	}
	if len(out) == 1 && len(c.ids) < 1024 {
		c.ids[first] = out[:1:1]
	}
	return out
}

// name makes each topic a string once. The table is thrown away when it gets
// large: names that never come again cost nothing for long.
func (c *Conn) name(topic []byte) string {
	if name, ok := c.topics[string(topic)]; ok {
		return name
	}
	if len(c.topics) >= 1024 {
		clear(c.topics)
	}
	name := string(topic)
	c.topics[name] = name
	return name
}

func public(p *packet.Properties) mqtt.Properties {
	out := mqtt.Properties{
		PayloadUTF8:   p.PayloadFormatIndicator == 1,
		HasExpiry:     p.Has(packet.PropMessageExpiryInterval),
		MessageExpiry: p.MessageExpiryInterval,
		ContentType:   string(p.ContentType),
		ResponseTopic: string(p.ResponseTopic),
		User:          users(p),
	}
	if p.Has(packet.PropCorrelationData) {
		out.CorrelationData = append([]byte{}, p.CorrelationData...)
	}
	return out
}

func (s *session) currentEra() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.era
}
