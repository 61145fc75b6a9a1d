package midge_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/conform"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/memory"
)

// The conformance suite again, with stores: whatever waits for the disk, the
// standard holds.
func TestConformanceWithStore(t *testing.T) {
	for name, open := range map[string]func() store.Store{
		"memory":  func() store.Store { return memory.New() },
		"lagging": func() store.Store { return newLagging(3 * time.Millisecond) },
	} {
		for _, c := range conform.Cases() {
			if strings.HasPrefix(c.Check.Name, "websocket/") {
				continue
			}
			t.Run(name+"/"+c.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					target, b := pipeTarget(midge.Config{Store: open()})
					target.With = func(o conform.Options) (conform.Target, bool) {
						cfg := configFor(o)
						cfg.Store = open()
						special, _ := pipeTarget(cfg)
						return special, true
					}
					defer target.Close()
					judge(t, c, target)
					synctest.Wait()
					if n := b.SessionCount(); n > 0 {
						t.Errorf("it left %d sessions behind", n)
					}
					if n := b.Miscounted(); n != 0 {
						t.Errorf("the budget is %d bytes off", n)
					}
				})
			})
		}
	}
}

func lasting(c *packet.Connect) {
	c.CleanStart = false
	c.Properties.SessionExpiryInterval = 3600
}

// restart crashes the broker and starts another with what was durable.
func (w *world) restart(l *lagging, cfg midge.Config) (*world, *lagging) {
	w.t.Helper()
	next := l.crash() // before anything can be said in good order
	w.b.Close()
	cfg.Store = next
	return newWorld(w.t, cfg), next
}

// What has not expired comes, however much before it has: nobody acknowledges
// that, and nothing else would have the queue go on [MQTT-3.3.2-5, 5.0].
func TestNothingWaitsBehindExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{Store: memory.New()})
		s := w.connect("s", lasting)
		s.subscribe("t", mqtt.AtLeastOnce)
		s.nc.Close()
		synctest.Wait()
		p := w.connect("p")
		for i := range mqtt.PacketID(300) {
			m := packet.Publish{
				Topic: []byte("t"), QoS: 1, ID: i + 1,
				Properties: &packet.Properties{Present: packet.PropertySet(0).With(packet.PropMessageExpiryInterval), MessageExpiryInterval: 1},
			}
			p.write(m.Append(nil, mqtt.V5))
			p.want(packet.PUBACK)
		}
		p.id = 300
		p.publish("t", "last", mqtt.AtLeastOnce)
		p.want(packet.PUBACK)
		<-time.After(5 * time.Second)
		if m := w.connect("s", lasting).wantPublish(); string(m.Payload) != "last" {
			t.Errorf("got %q", m.Payload)
		}
	})
}

// [MQTT-4.1.0-1] A session, its queue and what is in flight outlive a crash.
func TestSessionOutlivesCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLagging(time.Millisecond)
		w := newWorld(t, midge.Config{Store: l})
		s := w.connect("s", lasting)
		s.subscribe("t/#", mqtt.ExactlyOnce)
		p := w.connect("p")
		p.publish("t/sent", "1", mqtt.AtLeastOnce)
		p.want(packet.PUBACK)
		if m := s.wantPublish(); string(m.Payload) != "1" {
			t.Fatalf("got %s", m.Payload)
		}
		s.nc.Close() // without PUBACK
		synctest.Wait()
		for i := range 1000 {
			p.publish("t/queued", fmt.Sprint(i), mqtt.QoS(1+i%2))
			p.want([]packet.Type{packet.PUBACK, packet.PUBREC}[i%2])
		}
		p.publishRetained("r", "kept")
		p.want(packet.PUBACK)

		w, _ = w.restart(l, midge.Config{})
		s = w.connect("s", lasting)
		first := s.wantPublish()
		if !first.Dup || string(first.Payload) != "1" {
			t.Errorf("what was in flight comes as %+v", first)
		}
		for i := range 1000 {
			if m := s.wantPublish(); string(m.Payload) != fmt.Sprint(i) || m.Dup {
				t.Fatalf("message %d is %s, dup %v", i, m.Payload, m.Dup)
			} else {
				s.acknowledge(&m)
			}
		}
		s.subscribe("r", 0)
		if m := s.wantPublish(); string(m.Payload) != "kept" || !m.Retain {
			t.Errorf("retained: %+v", m)
		}
	})
}

// What is acknowledged is durable, and nothing is acknowledged before.
func TestAcknowledgementsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lag = time.Second
		l := newLagging(lag)
		w := newWorld(t, midge.Config{Store: l})
		took := func(what string, want time.Duration, f func()) {
			t.Helper()
			start := time.Now()
			f()
			if d := time.Since(start); d != want {
				t.Errorf("%s took %v, want %v", what, d, want)
			}
		}
		var s, p *peer
		took("CONNACK of a session that lasts", lag, func() { s = w.connect("s", lasting) })
		took("CONNACK of one that does not", 0, func() { p = w.connect("p") })
		took("SUBACK", lag, func() { s.subscribe("t", mqtt.ExactlyOnce) })
		took("SUBACK of a session that does not last", 0, func() { p.subscribe("other", mqtt.AtLeastOnce) })
		took("PUBACK", lag, func() {
			p.publish("t", "1", mqtt.AtLeastOnce)
			took("the message itself, at QoS 1", 0, func() { s.wantPublish() })
			p.want(packet.PUBACK)
		})
		took("PUBREC", lag, func() { p.publish("t", "2", mqtt.ExactlyOnce); p.want(packet.PUBREC) })
		var m packet.Publish
		took("the message itself, at QoS 2", 0, func() { m = s.wantPublish() })
		took("PUBREL, after PUBREC", lag, func() { s.ack(packet.PUBREC, m.ID); s.want(packet.PUBREL) })
		took("PUBACK for nobody who lasts", 0, func() { p.publish("other", "3", mqtt.AtLeastOnce); p.wantPublish() })
		took("the retained message's PUBACK", lag, func() { p.want(packet.PUBACK); p.publishRetained("r", "x"); p.want(packet.PUBACK) })
		took("a ping meanwhile", 0, func() {
			p.publish("t", "4", mqtt.AtLeastOnce)
			ping := packet.AppendPingreq(nil)
			p.write(ping)
			p.want(packet.PINGRESP)
		})
	})
}

// Exactly once, whenever the crash comes.
func TestExactlyOnceAcrossCrashes(t *testing.T) {
	for n := range 60 {
		synctest.Test(t, func(t *testing.T) {
			l := newLagging(10 * time.Millisecond)
			w := newWorld(t, midge.Config{Store: l})
			p, s := w.connect("p", lasting), w.connect("s", lasting)
			s.subscribe("t", mqtt.ExactlyOnce)
			var once ledger
			crash := time.Duration(n) * time.Millisecond
			m := packet.Publish{Topic: []byte("t"), QoS: 2, ID: 5, Payload: []byte("x")}
			p.write(m.Append(nil, p.v))
			once.run(p, s, crash)
			w, _ = w.restart(l, midge.Config{})
			p, s = w.connect("p", lasting), w.connect("s", lasting)
			switch {
			case once.completed:
			case once.received:
				p.ack(packet.PUBREL, 5)
			default:
				m.Dup = true
				p.write(m.Append(nil, p.v))
			}
			once.run(p, s, time.Second)
			if once.delivered != 1 || !once.completed {
				t.Fatalf("crash after %v: delivered %d times, completed %v", crash, once.delivered, once.completed)
			}
		})
	}
}

// A disk that takes nothing: 5.0 publishers hear so, older ones are cut off,
// and what is not stored is not acknowledged. All goes on when it works again.
func TestStuckStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLagging(time.Millisecond)
		w := newWorld(t, midge.Config{Store: l})
		s := w.connect("s", lasting)
		s.subscribe("t", mqtt.AtLeastOnce)
		p, old := w.connect("p"), w.connect("old", func(c *packet.Connect) { c.Version = mqtt.V311 })
		l.setStuck(true)
		p.publish("t", "1", mqtt.AtLeastOnce)
		var ack packet.Ack
		if ack.Decode(p.v, packet.PUBACK, p.want(packet.PUBACK)); ack.Code != mqtt.QuotaExceeded {
			t.Errorf("PUBACK %v", ack.Code)
		}
		old.publish("t", "2", mqtt.AtLeastOnce)
		old.wantClosed()
		p.publish("t", "live", mqtt.AtMostOnce)
		if m := s.wantPublish(); string(m.Payload) != "live" {
			t.Errorf("got %s", m.Payload)
		}
		if w.b.Publish(mqtt.Message{Topic: "t", QoS: 1}) == nil {
			t.Error("the program is told that its message is stored")
		}
		l.setStuck(false)
		p.publish("t", "3", mqtt.AtLeastOnce)
		p.want(packet.PUBACK)
		if m := s.wantPublish(); string(m.Payload) != "3" {
			t.Errorf("got %s", m.Payload)
		}
	})
}

// A session that was discarded stays so: whoever is told that there is none has
// heard it of the store, too.
func TestDiscardedStaysDiscarded(t *testing.T) {
	clean := func(c *packet.Connect) { c.CleanStart = true }
	for name, discard := range map[string]func(w *world, p *peer){
		"clean start": func(w *world, p *peer) { p.nc.Close(); synctest.Wait(); w.connect("s", clean) },
		"goodbye": func(w *world, p *peer) {
			d := packet.Disconnect{Properties: &packet.Properties{}}
			d.Properties.Present = d.Properties.Present.With(packet.PropSessionExpiryInterval)
			p.write(d.Append(nil, p.v))
			synctest.Wait()
			w.connect("s", func(c *packet.Connect) { c.CleanStart = false })
		},
		"forgotten": func(w *world, p *peer) {
			w.b.Forget("s")
			synctest.Wait()
			w.connect("s", func(c *packet.Connect) { c.CleanStart = false })
		},
		"forgotten while away": func(w *world, p *peer) {
			p.nc.Close()
			synctest.Wait()
			w.b.Forget("s")
			w.connect("s", func(c *packet.Connect) { c.CleanStart = false })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLagging(time.Second)
				w := newWorld(t, midge.Config{Store: l})
				p := w.connect("s", lasting)
				p.subscribe("t", mqtt.AtLeastOnce)
				discard(w, p)
				w, _ = w.restart(l, midge.Config{})
				if n := w.b.SessionCount(); n != 0 {
					t.Errorf("%d sessions are back", n)
				}
			})
		})
	}
}

// The same where the disk takes nothing: nobody is told that a session is gone
// that a crash would bring back.
func TestDiscardedWhileStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLagging(time.Millisecond)
		w := newWorld(t, midge.Config{Store: l})
		p := w.connect("s", lasting)
		p.nc.Close()
		synctest.Wait()
		hello := packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("s")}
		knock := func() (k packet.Connack) {
			p := w.dial()
			p.write(hello.Append(nil))
			k.Decode(p.v, p.want(packet.CONNACK))
			return k
		}
		l.setStuck(true)
		for range 2 {
			if k := knock(); k.Code != mqtt.ServerUnavailable {
				t.Errorf("CONNACK %v", k.Code)
			}
		}
		l.setStuck(false)
		if k := knock(); k.Code != mqtt.Success || k.SessionPresent {
			t.Errorf("CONNACK %+v", k)
		}
	})
}

// [MQTT-3.3.2-5, 5.0] What a member of a shared subscription leaves behind is
// given to another one only while it is worth anything.
func TestSharedLeftoversExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		one := func(c *packet.Connect) { c.Properties.ReceiveMaximum = 1 }
		a, p := w.connect("a", one), w.connect("p")
		a.subscribe("$share/g/t", mqtt.AtLeastOnce)
		for _, text := range []string{"in flight", "waits"} {
			m := packet.Publish{Topic: []byte("t"), QoS: 1, ID: 1, Payload: []byte(text), Properties: &packet.Properties{MessageExpiryInterval: 5}}
			p.write(m.Append(nil, p.v))
			p.want(packet.PUBACK)
		}
		b := w.connect("b")
		b.subscribe("$share/g/t", mqtt.AtMostOnce)
		<-time.After(10 * time.Second)
		a.nc.Close()
		if h, body, err := b.next(); err == nil {
			t.Errorf("after they have expired, b gets %v % x", h.Type, body)
		}
	})
}

// What an older client was refused by being cut off is new when it comes again.
func TestRefusedIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLagging(time.Millisecond)
		w := newWorld(t, midge.Config{Store: l})
		s := w.connect("s", lasting)
		s.subscribe("t", mqtt.ExactlyOnce)
		old := func(c *packet.Connect) { c.Version, c.CleanStart = mqtt.V311, false }
		p := w.connect("p", old)
		m := packet.Publish{Topic: []byte("t"), QoS: mqtt.ExactlyOnce, ID: 7, Payload: []byte("x")}
		l.setStuck(true)
		p.write(m.Append(nil, p.v))
		p.wantClosed()
		l.setStuck(false)
		p = w.connect("p", old)
		m.Dup = true
		p.write(m.Append(nil, p.v))
		p.want(packet.PUBREC)
		if m := s.wantPublish(); string(m.Payload) != "x" {
			t.Errorf("got %s", m.Payload)
		}
	})
}

// Wills outlive a crash, are said once, and when they are due.
func TestWillOutlivesCrash(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay uint32
		away  time.Duration // before the crash; 0: the client is connected
		want  string        // heard by the broker after the crash
	}{
		{"connected", 0, 0, ""}, // said before anybody can listen
		{"connected, delayed", 100, 0, "w/p after 1m40s"},
		{"away, delayed", 100, 40 * time.Second, "w/p after 1m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLagging(time.Millisecond)
				w := newWorld(t, midge.Config{Store: l})
				s := w.connect("s", lasting)
				s.subscribe("w/#", mqtt.AtLeastOnce)
				p := w.connect("p", lasting, withWill("w/p"), func(k *packet.Connect) {
					k.Will.QoS, k.Will.Properties.WillDelayInterval = 1, c.delay
				})
				s.nc.Close()
				if c.away > 0 {
					p.nc.Close()
					<-time.After(c.away)
				}
				for _, want := range []string{c.want, ""} { // the second broker does not say it again
					w, l = w.restart(l, midge.Config{})
					var got notes
					start := time.Now()
					stop, err := w.b.Subscribe("w/#", 0, func(m mqtt.Message) { got.add("%s after %v", m.Topic, time.Since(start)) })
					if err != nil {
						t.Fatal(err)
					}
					<-time.After(200 * time.Second)
					stop()
					if want == "" {
						got.want(t)
					} else {
						got.want(t, want)
					}
				}
				s = w.connect("s", lasting)
				m := s.wantPublish()
				s.acknowledge(&m)
				if _, _, err := s.next(); err == nil {
					t.Error("the will was said twice")
				}
			})
		})
	}
}

// A ledger is what a publisher and a subscriber at QoS 2 remember, whatever
// happens to their connections.
type ledger struct {
	received, completed bool // what the publisher knows: PUBREC, PUBCOMP
	delivered           int
	held                map[mqtt.PacketID]bool
}

// run lets both do what the standard asks of them for a while.
func (g *ledger) run(p, s *peer, d time.Duration) {
	if g.held == nil {
		g.held = map[mqtt.PacketID]bool{}
	}
	until := time.Now().Add(d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			h, body, err := p.nextBy(until)
			if err != nil {
				return
			}
			var a packet.Ack
			a.Decode(p.v, h.Type, body)
			if h.Type == packet.PUBREC {
				g.received = true
				p.ack(packet.PUBREL, a.ID)
			} else if h.Type == packet.PUBCOMP {
				g.completed = true
			}
		}
	}()
	for {
		h, body, err := s.nextBy(until)
		if err != nil {
			break
		}
		if h.Type == packet.PUBREL {
			var a packet.Ack
			a.Decode(s.v, h.Type, body)
			delete(g.held, a.ID)
			s.ack(packet.PUBCOMP, a.ID)
			continue
		}
		var m packet.Publish
		m.Decode(s.v, h.Flags, body)
		if !g.held[m.ID] { // [MQTT-4.3.3-10]
			g.held[m.ID] = true
			g.delivered++
		}
		s.ack(packet.PUBREC, m.ID)
	}
	<-done
}

func (p *peer) publishRetained(topic, payload string) {
	p.t.Helper()
	p.id++
	m := packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: 1, ID: p.id, Retain: true}
	p.write(m.Append(nil, p.v))
}

func (p *peer) ack(t packet.Type, id mqtt.PacketID) {
	a := packet.Ack{Type: t, ID: id}
	p.write(a.Append(nil, p.v))
}

// acknowledge answers a PUBLISH to its end.
func (p *peer) acknowledge(m *packet.Publish) {
	p.t.Helper()
	switch m.QoS {
	case mqtt.AtLeastOnce:
		p.ack(packet.PUBACK, m.ID)
	case mqtt.ExactlyOnce:
		p.ack(packet.PUBREC, m.ID)
		var others []later
		for {
			h, body, err := p.next()
			if err != nil {
				p.t.Fatal(err)
			}
			if h.Type == packet.PUBREL {
				p.ack(packet.PUBCOMP, m.ID)
				p.later = append(others, p.later...)
				return
			}
			others = append(others, later{h, body})
		}
	}
}

// An unread queue is one whose first look fails, after its client has gone.
type unreadQueue struct {
	*memory.Store
	look chan struct{} // nil: looks succeed
}

func (u *unreadQueue) Load(id store.SessionID, seq uint64, n, size int) ([]store.Entry, error) {
	if look := u.look; look != nil {
		u.look = nil
		<-look
		return nil, store.ErrClosed
	}
	return u.Store.Load(id, seq, n, size)
}

// What cannot be read for a client that has gone meanwhile is not lost, and the
// log does not say so.
func TestUnreadForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &unreadQueue{memory.New(), make(chan struct{})}
		var log notes
		w := newWorld(t, midge.Config{Store: st, Logger: slog.New(handlerFunc(func(r slog.Record) {
			if r.Level >= slog.LevelError {
				log.add("%s", r.Message)
			}
		}))})
		s := w.connect("s", lasting)
		s.subscribe("t", mqtt.AtLeastOnce)
		s.nc.Close()
		synctest.Wait()
		w.b.Publish(mqtt.Message{Topic: "t", Payload: []byte("kept"), QoS: 1})
		look := st.look
		w.connect("s", lasting).nc.Close()
		synctest.Wait()
		close(look)
		synctest.Wait()
		log.want(t)
		if m := w.connect("s", lasting).wantPublish(); string(m.Payload) != "kept" {
			t.Errorf("got %q", m.Payload)
		}
	})
}
