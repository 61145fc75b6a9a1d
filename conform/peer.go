package conform

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// A peer is the test's end of one connection: it sends what it is told, right
// or wrong, and says what it wants to see next. A want that is not met ends
// the check.
type peer struct {
	t       *T
	name    string
	version mqtt.Version
	conn    net.Conn
	connack *reply
	nextID  uint16
	reading bool
	done    chan struct{} // closed when the reader has returned

	mu      sync.Mutex
	arrived []*reply
	closed  error             // why reading ended; nil while it goes on
	aliases map[uint16]string // topic aliases the broker defined
	last    byte              // type of the packet read last
	greeted bool              // CONNACK has come
	paused  chan struct{}     // not nil: reading waits until it is closed
	news    chan struct{}     // holds one token when arrived or closed changed
}

func newPeer(t *T, name string, c net.Conn) *peer {
	return &peer{
		t: t, name: name, version: t.version, conn: c,
		done: make(chan struct{}), news: make(chan struct{}, 1),
		aliases: make(map[uint16]string),
	}
}

// read starts reading. Until then the peer is one that does not read.
func (p *peer) read() {
	p.reading = true
	go p.readLoop()
}

// pause makes the peer read no more, once the read under way has ended.
func (p *peer) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = make(chan struct{})
}

func (p *peer) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != nil {
		close(p.paused)
		p.paused = nil
	}
}

func (p *peer) awaitResume() {
	p.mu.Lock()
	wait := p.paused
	p.mu.Unlock()
	if wait != nil {
		<-wait
	}
}

func (p *peer) readLoop() {
	defer close(p.done)
	var buf []byte
	chunk := make([]byte, 16<<10)
	for {
		p.awaitResume()
		n, err := p.conn.Read(chunk)
		buf = append(buf, chunk[:n]...)
		rest, bad := p.split(buf)
		buf = append(buf[:0], rest...)
		if bad != nil {
			err = bad
		}
		if err != nil {
			p.note(nil, err)
			return
		}
	}
}

// split decodes the whole packets at the start of b.
func (p *peer) split(b []byte) (rest []byte, err error) {
	for len(b) >= 2 {
		n, size, err := readVarint(b[1:])
		if err == errShort || err == nil && len(b) < 1+size+n {
			return b, nil
		}
		if err != nil {
			return b, badReply{err, bytes.Clone(b)}
		}
		end := 1 + size + n
		r, err := decode(p.version, b[:end])
		p.t.logf("%s < %s%s", p.name, r, hexOf(b[:end]))
		if err == nil {
			err = p.order(r)
		}
		if err == nil {
			err = p.resolve(r)
		}
		if err != nil {
			return b, badReply{err, bytes.Clone(b[:end])}
		}
		p.note(r, nil)
		b = b[end:]
	}
	return b, nil
}

// order holds a packet against those before it: CONNACK comes once, nothing
// comes behind DISCONNECT.
func (p *peer) order(r *reply) error {
	switch {
	case p.last == typeDISCONNECT:
		return fmt.Errorf("%s behind DISCONNECT", typeNames[r.typ])
	case r.typ == typeCONNACK && p.greeted:
		return fmt.Errorf("a second CONNACK")
	}
	p.last, p.greeted = r.typ, p.greeted || r.typ == typeCONNACK
	return nil
}

// resolve applies the broker's topic aliases.
func (p *peer) resolve(r *reply) error {
	if r.typ != typePUBLISH || !r.has(pTopicAlias) {
		return nil
	}
	alias := uint16(r.num(pTopicAlias, 0))
	if r.topic != "" {
		p.aliases[alias] = r.topic
		return nil
	}
	topic, ok := p.aliases[alias]
	if !ok {
		return fmt.Errorf("PUBLISH with topic alias %d, which was never defined on this connection", alias)
	}
	r.topic = topic
	return nil
}

// badReply is the broker's fault: bytes that a server must not send.
type badReply struct {
	error
	raw []byte
}

func (p *peer) note(r *reply, err error) {
	p.mu.Lock()
	if r != nil {
		p.arrived = append(p.arrived, r)
	}
	if err != nil {
		p.closed = err
	}
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// send writes the packets with one write. A write that fails is not a failure
// of the check: what the broker did about it shows in the next want.
func (p *peer) send(packets ...encoder) {
	var b []byte
	for _, e := range packets {
		enc := e.encode(p.version)
		p.t.logf("%s >%s", p.name, hexOf(enc))
		b = append(b, enc...)
	}
	p.conn.SetWriteDeadline(time.Now().Add(p.t.target.patience()))
	if _, err := p.conn.Write(b); err != nil {
		p.t.logf("%s: write: %v", p.name, err)
	}
}

// next returns the first arrived packet that ok accepts and leaves the others.
// It waits for at most d and returns nil when nothing came, with the reason
// when reading has ended.
func (p *peer) next(d time.Duration, ok func(*reply) bool) (*reply, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		p.mu.Lock()
		i := slices.IndexFunc(p.arrived, ok)
		if i >= 0 {
			r := p.arrived[i]
			p.arrived = slices.Delete(p.arrived, i, i+1)
			p.mu.Unlock()
			return r, nil
		}
		// A connection is over only when what came before its end is taken.
		err := p.closed
		p.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-p.news:
		case <-timer.C:
			return nil, nil
		case <-p.t.ctx.Done():
			p.t.failf("%s: %v", p.name, p.t.ctx.Err())
		}
	}
}

func anything(*reply) bool { return true }

func (p *peer) describe(r *reply, err error) string {
	var bad badReply
	switch {
	case r != nil:
		return r.String()
	case err == nil:
		return "nothing"
	case asBad(err, &bad):
		return "a packet no server may send: " + bad.Error()
	}
	return "the connection closed"
}

func asBad(err error, bad *badReply) bool {
	b, ok := err.(badReply)
	*bad = b
	return ok
}

// want takes the next packet: it has to be of the type and to pass every match.
func (p *peer) want(sentence string, typ byte, ms ...match) *reply {
	r, err := p.next(p.t.target.patience(), anything)
	p.judge(sentence, typ, r, err, ms)
	return r
}

// pick is want for the first packet of the type; packets of other types that
// came before it stay for later wants.
func (p *peer) pick(sentence string, typ byte, ms ...match) *reply {
	r, err := p.next(p.t.target.patience(), func(r *reply) bool { return r.typ == typ })
	p.judge(sentence, typ, r, err, ms)
	return r
}

func (p *peer) judge(sentence string, typ byte, r *reply, err error, ms []match) {
	if r == nil || r.typ != typ {
		p.t.failf("%s: want %s: want %s, got %s", p.name, sentence, typeNames[typ], p.describe(r, err))
	}
	for _, m := range ms {
		if why := m(r); why != "" {
			p.t.failf("%s: want %s: %s in %s", p.name, sentence, why, r)
		}
	}
}

// wantIdle wants nothing to arrive for the target's idle time, and the
// connection to stay open.
func (p *peer) wantIdle(sentence string) {
	r, err := p.next(p.t.target.idle(), anything)
	if r != nil || err != nil {
		p.t.failf("%s: want %s: want silence, got %s", p.name, sentence, p.describe(r, err))
	}
}

// wantClose wants the broker to close. In 5.0 one DISCONNECT may come before,
// with one of the codes, or with any failure code when none is given.
func (p *peer) wantClose(sentence string, codes ...byte) {
	r, err := p.next(p.t.target.patience(), anything)
	if r != nil && r.typ == typeDISCONNECT {
		p.checkRefusal(sentence, r, codes)
		r, err = p.next(p.t.target.patience(), anything)
	}
	p.judgeClose(sentence, r, err)
}

// wantDisconnect wants DISCONNECT with one of the codes and then the close.
func (p *peer) wantDisconnect(sentence string, codes ...byte) *reply {
	r := p.want(sentence, typeDISCONNECT)
	p.checkRefusal(sentence, r, codes)
	after, err := p.next(p.t.target.patience(), anything)
	p.judgeClose(sentence, after, err)
	return r
}

// wantRefused wants a CONNECT to be refused: no success, and the connection
// closed. Before 5.0, no CONNACK comes for a malformed CONNECT (codes empty)
// and one of the return codes otherwise; in 5.0 CONNACK is always optional.
func (p *peer) wantRefused(sentence string, codes ...byte) {
	r, err := p.next(p.t.target.patience(), anything)
	if r != nil && r.typ == typeCONNACK && (p.version == mqtt.V5 || len(codes) > 0) {
		p.checkRefusal(sentence, r, codes)
		r, err = p.next(p.t.target.patience(), anything)
	}
	p.judgeClose(sentence, r, err)
}

func (p *peer) checkRefusal(sentence string, r *reply, codes []byte) {
	if len(codes) == 0 && r.code < 0x80 {
		p.t.failf("%s: want %s: code 0x%02X says no failure", p.name, sentence, r.code)
	}
	if len(codes) > 0 && !slices.Contains(codes, r.code) {
		p.t.failf("%s: want %s: code 0x%02X is none of % 02X", p.name, sentence, r.code, codes)
	}
}

func (p *peer) judgeClose(sentence string, r *reply, err error) {
	var bad badReply
	if r != nil || err == nil || asBad(err, &bad) {
		p.t.failf("%s: want %s: want the connection closed, got %s", p.name, sentence, p.describe(r, err))
	}
}

// drop closes the peer's end as a network failure would.
func (p *peer) drop() {
	p.conn.Close()
	p.t.logf("%s: connection cut", p.name)
}

// bye disconnects politely and waits until the broker has closed.
func (p *peer) bye() {
	p.send(disconnect{})
	_, err := p.next(p.t.target.patience(), func(*reply) bool { return false })
	if err == nil {
		p.t.logf("%s: not closed after DISCONNECT", p.name)
	}
	p.conn.Close()
}

// ping is a barrier: what the broker was sent before is dealt with when it
// returns. Packets that arrived stay for later wants.
func (p *peer) ping() {
	p.send(pingreq)
	p.pick("PINGRESP to PINGREQ", typePINGRESP)
}

func hexOf(b []byte) string {
	const most = 48
	if len(b) > most {
		return fmt.Sprintf(" % x ... (%d bytes)", b[:most], len(b))
	}
	return fmt.Sprintf(" % x", bytes.Clone(b))
}
