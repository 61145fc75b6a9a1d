package midge

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/internal/readbuf"
	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/transport"
)

// A conn is one network connection, and as small as it can be while nothing
// happens on it. It is read in turns, by its loop or by a
// goroutine of its own, which together are its reader; whoever has something
// for the client appends to its outbox, and one writer at a time empties that.
type conn struct {
	// Immutable.
	b      *Broker
	nc     transport.Conn
	listen *listening

	// Owned by the reader.
	in      link.Reader
	timer   link.Timer
	extra   *extra          // nil: nothing of that
	goodbye mqtt.ReasonCode // the client's DISCONNECT code
	said    bool            // goodbye counts
	denied  bool            // the log knows of a denied message
	again   bool            // in its loop's list of that name

	turnedAway bool // by Hooks.Accept

	// Set by the reader; others may read it once the session's conn is this one.
	version    mqtt.Version
	cleanStart bool
	lastWord   mqtt.ReasonCode // guarded by mu: its code, once it has been said
	session    *session        // from CONNACK on; set under mu
	user       *string         // nil: no name
	since      int64           // when it claimed its session, Unix ns; no two are the same

	// Used by anyone.
	expiry atomic.Uint32 // Session Expiry Interval in force, seconds
	place  int32         // in Broker.conns, guarded by Broker.mu

	outbox
}

// sock is c's socket, if a loop reads it; nil: serve does.
func (c *conn) sock() *transport.Socket {
	s, _ := c.nc.(*transport.Socket)
	return s
}

// answerSize is the room most answers find enough.
const answerSize = 64

// linger is how long a connection may take to hear the last words.
const linger = time.Second

func newConn(b *Broker, nc transport.Conn, listener *listening) *conn {
	c := &conn{b: b, nc: nc, listen: listener}
	c.in.Init(link.Server, 0, b.set.limits.MaxPacketSize)
	c.timer.Init(b.since(time.Now()), b.set.ConnectTimeout)
	c.w.Init(link.Server, 0)
	return c
}

// serve runs the connection from its handshake to its end, or until a loop has
// it.
func (c *conn) serve() {
	if c.begin() {
		if c.sock() != nil {
			c.b.work.Add(1)
			c.attach()
			return
		}
		c.fail(c.readLoop())
	}
	c.end()
}

// begin brings the transport up and asks Hooks.Accept.
func (c *conn) begin() bool {
	ctx, cancel := c.greetingContext()
	defer cancel()
	if accept := c.b.set.Hooks.Accept; accept != nil {
		err := c.b.contain("Accept", func() error { return accept(ctx, c.remote(), c.b.clientCount()) })
		if err != nil {
			c.b.count.refused.accept.Add(1)
			c.b.sayOfStrangers(levelOf(err), "connection not admitted", "remote", c.nc.RemoteAddr(), "error", err)
			c.turnedAway = true
			return false
		}
	}
	if err := c.nc.Handshake(ctx); err != nil {
		c.b.count.refused.handshake.Add(1)
		c.b.sayOfStrangers(slog.LevelInfo, "handshake failed", "remote", c.nc.RemoteAddr(), "transport", c.nc.Kind(), "error", err)
		return false
	}
	return true
}

// readLoop reads batches until the connection is over. The error says whose
// fault that is; nil is an orderly end.
func (c *conn) readLoop() error {
	var buf readbuf.Buffer
	buf.Space()
	c.b.hold(buf.Size())
	defer func() { c.b.hold(-buf.Size()) }()
	for {
		if err := c.arm(); err != nil {
			return err
		}
		n, err := c.nc.Read(buf.Space())
		if n > 0 {
			buf.Wrote(n)
			if over, err := c.digest(&buf, n); over || err != nil {
				return err
			}
		}
		if err == nil {
			continue
		}
		if verdict := c.readFailed(err); verdict != errGoOn {
			return verdict
		}
	}
}

// digest handles what is in buf, n bytes of it new.
func (c *conn) digest(buf *readbuf.Buffer, n int) (over bool, err error) {
	for {
		sc := c.b.scratches.Get().(*scratch)
		sc.heard.bytes += uint64(n)
		used, need, over, err := c.batch(sc, buf.Unread())
		c.b.scratches.Put(sc.reset())
		if over || err != nil {
			return true, err
		}
		buf.Took(used)
		if !c.paused() {
			before := buf.Size()
			buf.Want(need)
			c.b.hold(buf.Size() - before)
			return false, c.overfull(buf)
		}
		if on, err := c.awaitTurn(); !on {
			return true, err
		}
		n = 0
	}
}

var errGoOn = errors.New("go on")

// arm sets the read deadline, unless the one set still does: a busy client's
// is moved once a keep-alive period, not once a read.
func (c *conn) arm() error {
	at, ok := c.timer.Next()
	return c.setReadDeadline(at, ok)
}

// readFailed tells what a failed read means.
func (c *conn) readFailed(err error) error {
	switch stage := c.at(); {
	case stage >= ending:
		return nil
	case stage == mute, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return errHungUp
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	}
	c.forgetDeadline()
	switch c.timer.Check(c.b.since(time.Now())) {
	case link.Quiet:
		return &packet.Error{Code: mqtt.KeepAliveTimeout, Text: "nothing heard for one and a half keep alives"}
	case link.Late:
		return &packet.Error{Code: mqtt.UnspecifiedError, Text: "no CONNECT in time"}
	}
	return errGoOn
}

// errHungUp is a connection closed without DISCONNECT: common, and no news.
var errHungUp = errors.New("connection closed without DISCONNECT")

// batch handles every whole packet in b, and says how many bytes they had and
// how many the next one has, as far as that is known. The connections touched,
// this one included, are written once: here, or by the loop after its turn.
func (c *conn) batch(sc *scratch, b []byte) (used, need int, over bool, err error) {
	sc.now = time.Now()
	c.timer.Heard(c.b.since(sc.now))
	sc.tooFast = false
	c.b.heed()
	rated := c.rated()
	if sc.watches = c.b.watches.Load(); sc.watches != nil {
		c.sees(sc)
	}
	for !over && !c.paused() {
		if t, n := c.in.Acks(b[used:]); n > 0 && (sc.watches == nil || sc.who == 0) {
			c.acks(sc, t, b[used:used+n])
			used += n
			continue
		}
		if rated {
			if err = c.pace(sc, b[used:]); err != nil || c.paused() {
				over = err != nil
				break
			}
		}
		t, n, want, fault := c.in.Next(b[used:], &sc.packets)
		if fault != nil {
			over, err = true, fault
			break
		}
		if n == 0 {
			need = want
			break
		}
		sc.heard.packets++
		sc.routes.rest = b[used+n:]
		if sc.raw = b[used : used+n]; rated && t == packet.PUBLISH {
			c.paid(sc, n)
		}
		if sc.watches != nil {
			c.heard(sc, t, sc.raw)
		}
		over, err = c.handle(sc, t)
		over = over || err != nil
		used += n
		// After an error the packet at hand is not the last of the run.
		if sc.run.n > 0 && !over && !rated && sc.watches == nil {
			used += c.runAhead(sc, b[used:])
		}
	}
	c.endRun(sc)
	sc.raw = nil
	sc.routes.forget()
	c.batchOver(sc)
	return used, need, over, err
}

// batchOver sees to what the batch has brought about.
func (c *conn) batchOver(sc *scratch) {
	flood := c.touch(sc)
	if sc.loop != nil && !flood && !c.overtakesDisk() {
		return
	}
	c.mayWait(sc)
	c.awaitAnswers()
	c.awaitDisk()
	if now := time.Now(); now.Sub(sc.now) > time.Second {
		c.timer.Heard(c.b.since(now)) // what came while a hook or the socket held us up counts
	}
}

// mayWait is called before anything that may block. What has been routed goes
// out first, and a loop goes on without this connection, which keeps the
// goroutine until it has nothing more to read.
func (c *conn) mayWait(sc *scratch) {
	c.touch(sc)
	sc.flush()
	if l := sc.loop; l != nil {
		l.leave(c, sc)
	}
}

// handle does what one packet asks for.
func (c *conn) handle(sc *scratch, t packet.Type) (over bool, err error) {
	p := &sc.packets
	if t != packet.PUBLISH {
		c.endRun(sc)
	}
	switch t {
	case packet.PUBLISH:
		return false, c.publish(sc, &p.Publish)
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		c.session.acked(c, sc, &p.Ack)
	case packet.PUBREL:
		c.pubrel(sc, &p.Ack)
	case packet.SUBSCRIBE:
		return false, c.subscribe(sc, &p.Subscribe)
	case packet.UNSUBSCRIBE:
		c.unsubscribe(&p.Unsubscribe)
	case packet.PINGREQ:
		c.session.slim()
		c.slim()
		// [MQTT-3.12.4-1]
		c.send(func(w *link.Writer, out []byte) []byte { return w.Pingresp(out) })
	case packet.CONNECT:
		return c.connect(sc, &p.Connect)
	case packet.AUTH:
		return c.authContinue(sc, &p.Auth)
	case packet.DISCONNECT:
		c.said, c.goodbye = true, p.Disconnect.Code
		// One that was not granted is not to be had with hindsight.
		if p.Disconnect.Properties.Has(packet.PropSessionExpiryInterval) && c.expiry.Load() > 0 {
			c.expiry.Store(min(p.Disconnect.Properties.SessionExpiryInterval, c.b.set.expiryMax))
		}
		return true, nil
	}
	return false, nil
}

// acks does what acknowledgements that came together ask for.
func (c *conn) acks(sc *scratch, t packet.Type, b []byte) {
	c.endRun(sc)
	sc.heard.packets += uint64(len(b) / link.AckSize)
	if t != packet.PUBREL {
		c.session.ackedAll(c, sc, t, b)
		return
	}
	for ; len(b) > 0; b = b[link.AckSize:] {
		c.pubrel(sc, &packet.Ack{Type: t, ID: ackID(b)})
	}
}

func ackID(b []byte) mqtt.PacketID { return mqtt.PacketID(b[2])<<8 | mqtt.PacketID(b[3]) }

// end says the last word, closes, and settles what the session is owed.
func (c *conn) end() {
	c.lease(time.Time{})
	code, text := c.verdict()
	code, first := c.conclude(&c.in, code, text, c.fault() != nil)
	if !first {
		text = ""
	}
	heard := c.finish()
	if c.session != nil {
		c.detach(code, text)
	} else {
		c.b.noSession(c, code, text)
	}
	c.letGo()
	if heard {
		c.hangUp()
	}
	c.nc.Close()
	c.cancel()
	c.keepRest(nil, 0)
	c.b.gone(c)
	if hook := c.b.set.Hooks.Closed; hook != nil && !c.turnedAway {
		c.b.contain("Closed", func() error { hook(c.remote()); return nil })
	}
}

// verdict is what the connection's own goroutine has to say about its end.
func (c *conn) verdict() (mqtt.ReasonCode, string) {
	var refusal *Refusal
	var fault *packet.Error
	switch err := c.fault(); {
	case c.said:
		return c.goodbye, ""
	case errors.As(err, &refusal):
		return refusal.Code, refusal.Reason
	case errors.As(err, &fault):
		return fault.Code, fault.Text
	case err != nil:
		return mqtt.UnspecifiedError, err.Error()
	}
	return mqtt.UnspecifiedError, ""
}

// send appends one packet of the session's own making: an acknowledgement, an
// answer. It goes out at the end of the batch. False is a connection that
// takes none: behind the last word nothing is said [MQTT-3.14.4-1, 5.0], and a
// packet the client has no room for becomes the last word.
func (c *conn) send(write func(w *link.Writer, out []byte) []byte) bool {
	return c.say(false, 0, write)
}

// sendAfter is send for a packet that promises, or relies on, what was appended
// to the store at pos (0: nothing). It goes out once that is durable, and
// behind those that wait already: acknowledgements keep their order
// [MQTT-4.6.0-2].
func (c *conn) sendAfter(pos store.Position, write func(w *link.Writer, out []byte) []byte) bool {
	c.promise(pos)
	return c.say(true, pos, write)
}

func (c *conn) say(inTurn bool, pos store.Position, write func(w *link.Writer, out []byte) []byte) bool {
	ok, tooLarge := c.sayOrEnd(inTurn, pos, write)
	if tooLarge {
		c.b.log.Info("an answer is larger than the client takes", "client", c.id(), "remote", c.nc.RemoteAddr(),
			"maximum", c.outbox.w.Peer().MaxPacketSize)
	}
	return ok
}

func (c *conn) sayOrEnd(inTurn bool, pos store.Position, write func(w *link.Writer, out []byte) []byte) (ok, tooLarge bool) {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage != flowing {
		return false, false
	}
	if before := len(o.out); inTurn && (len(c.keptLocked().marks) > 0 || !c.b.keep.durable(pos)) {
		c.withholdLocked(mark{pos: pos}, func() { o.out = write(&o.w, o.out) })
	} else {
		o.out = write(&o.w, c.roomFor(answerSize))
		o.answers += int32(len(o.out) - before)
	}
	o.sent.packets++
	if o.w.Closed() {
		c.endLocked(mqtt.PacketTooLarge)
		return false, true
	}
	return true, false
}

// kick ends the connection from outside; code goes to the client if its
// version knows how. It does not wait: done is closed when it is over. False
// is a connection that was ending already.
func (c *conn) kick(code mqtt.ReasonCode, reason string) bool {
	if !c.kill(code, reason) {
		return false
	}
	c.cancel()
	time.AfterFunc(2*linger, func() { c.nc.Close() })
	return true
}
