package midge_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/trace"
)

// A log is what a trace has told, one line an event.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) handle(e trace.Event) {
	if e.Kind == trace.Began {
		return
	}
	words := []string{string(e.Kind)}
	for _, s := range []string{e.Client, e.Packet, e.Topic, strings.Join(e.Filters, "+"), strings.Join(e.Codes, "+"), e.Payload} {
		if s != "" {
			words = append(words, s)
		}
	}
	if e.To != "" || e.Fate != "" {
		words = append(words, "->", strings.TrimSpace(e.To+" "+e.Fate))
	}
	if e.Reason != "" && e.Reason != "success" {
		words = append(words, "("+e.Reason+")")
	}
	if e.Count > 0 {
		words = append(words, fmt.Sprint(e.Count))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.Join(words, " "))
}

// wantSet is want for events in no order.
func (l *log) wantSet(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	slices.Sort(l.lines)
	l.mu.Unlock()
	slices.Sort(want)
	l.want(t, want...)
}

// want compares what has been told since the last time.
func (l *log) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.lines, want) {
		t.Errorf("the trace says\n\t%s\nwant\n\t%s", strings.Join(l.lines, "\n\t"), strings.Join(want, "\n\t"))
	}
	l.lines = nil
}

// trace begins one; it ends with the test.
func (w *world) trace(f trace.Filter) *log {
	w.t.Helper()
	l := new(log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.b.Trace(ctx, f, l.handle) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	synctest.Wait()
	return l
}

func TestTraceOfClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{SysInterval: -1})
		l, every := w.trace(trace.Filter{Client: "a"}), w.trace(trace.Filter{Client: "a", Packets: true, Payload: 4})
		a, b := w.connect("a"), w.connect("b")
		a.subscribe("x/+", 1)
		b.subscribe("#", 0)
		b.publish("x/1", "payload", 1)
		b.want(packet.PUBLISH)
		b.want(packet.PUBACK)
		a.wantTopic(t, "x/1")
		a.publish("y", "a\x00b", 0)
		b.wantTopic(t, "y")
		a.write((&packet.Disconnect{}).Append(nil, mqtt.V5))
		l.want(t, "connected a", "out a CONNACK", "in a SUBSCRIBE x/+", "out a SUBACK QoS 1",
			"in a PUBLISH y", "routed a y -> b sent", "disconnected a")
		every.want(t, "in a CONNECT", "connected a", "out a CONNACK", "in a SUBSCRIBE x/+", "out a SUBACK QoS 1",
			"out a PUBLISH x/1 payl", "in a PUBACK", "in a PUBLISH y hex:610062", "routed a y -> b sent", "in a DISCONNECT", "disconnected a")
	})
}

func TestTraceOfTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := guarded(t, map[string]midge.Access{"blind": noReceive("t/#"), "mute": noPublish("t/#")})
		away := w.connect("away", resuming)
		away.subscribe("t/1", 1)
		away.nc.Close()
		blind, mute, self := w.connect("blind"), w.connect("mute"), w.connect("self")
		blind.subscribe("t/+", 0)
		other := w.trace(trace.Filter{Topic: "u/#"})
		l := w.trace(trace.Filter{Topic: "$share/g/t/#", Packets: true})
		self.write((&packet.Subscribe{ID: 9, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("+/1"), NoLocal: true})}).Append(nil, mqtt.V5))
		self.want(packet.SUBACK)
		l.want(t, "in self SUBSCRIBE +/1")

		self.publish("t/1", "x", 1)
		self.want(packet.PUBACK)
		self.publish("u", "x", 0)
		l.wantSet(t, "in self PUBLISH t/1", "routed self t/1 -> away queued",
			"routed self t/1 -> blind access denied", "routed self t/1 -> self no local")
		mute.publish("t/1", "x", 1)
		mute.want(packet.PUBACK)
		l.want(t, "in mute PUBLISH t/1", "refused mute PUBLISH t/1 (not authorized)")
		w.b.Publish(mqtt.Message{Topic: "t/2"})
		l.want(t, "routed t/2 -> blind access denied", "routed t/2 -> no subscriber")
		w.b.Publish(mqtt.Message{Topic: "t/1", Properties: brief})
		self.wantTopic(t, "t/1")
		l.wantSet(t, "routed t/1 -> away client away", "routed t/1 -> self sent",
			"routed t/1 -> blind access denied", "out self PUBLISH t/1")
		other.want(t, "in self SUBSCRIBE +/1", "in self PUBLISH u", "routed self u -> no subscriber")
	})
}

// A message lost to one client is told to who looks at that client, whoever
// published it, a run of QoS 0 included.
func TestTraceOfLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{SysInterval: -1, MaxQueuedMessages: 2}, 128)
		slow, p := w.connect("slow", resuming, func(c *packet.Connect) { c.Username, c.HasUsername = []byte("joe"), true }), w.connect("p")
		slow.subscribe("t", 1)
		l := w.trace(trace.Filter{User: "joe"})
		var run []byte
		for range 40 {
			run = (&packet.Publish{Topic: []byte("t"), Payload: make([]byte, 20)}).Append(run, mqtt.V5)
		}
		p.write(run)
		synctest.Wait()
		var told []string
		l.mu.Lock()
		for _, s := range l.lines {
			if s == "lost p t -> slow queue full" {
				told = append(told, s)
			}
		}
		var dropped uint64
		for _, c := range w.b.Clients() {
			dropped += c.Dropped
		}
		if len(told) < 30 || uint64(len(told)) != dropped {
			t.Errorf("%d of %d: %q", len(told), dropped, l.lines)
		}
		l.lines = nil
		l.mu.Unlock()

		slow.nc.Close()
		synctest.Wait()
		byID := w.trace(trace.Filter{Client: "slow"})
		w.b.Publish(mqtt.Message{Topic: "t", QoS: 1, Properties: brief})
		w.b.Publish(mqtt.Message{Topic: "t", QoS: 1})
		w.b.Publish(mqtt.Message{Topic: "t", QoS: 1})
		byID.want(t, "lost t -> slow queue full")
		pass(2 * time.Second)
		w.connect("slow", resuming).wantTopic(t, "t")
		byID.want(t, "lost t -> slow expired", "connected slow", "out slow CONNACK")
	})
}

// Whoever looks sees each message of what came in one piece, one as long as the
// other, be it the client, the subscriber or the topic that is looked at.
func TestTraceOfRun(t *testing.T) {
	for q := range mqtt.QoS(2) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, midge.Config{SysInterval: -1})
			p, sub := w.connect("p"), w.connect("sub")
			sub.subscribe("t", q)
			client, to := w.trace(trace.Filter{Client: "p", Payload: 9}), w.trace(trace.Filter{Client: "sub", Packets: true, Payload: 9})
			topic := w.trace(trace.Filter{Topic: "t", Packets: true, Payload: 9})
			var burst []byte
			var in, out, both []string
			for i := range 5 {
				m := packet.Publish{Topic: []byte("t"), QoS: q, Payload: fmt.Append(nil, "m", i)}
				if q > 0 {
					m.ID = mqtt.PacketID(i + 1)
				}
				burst = m.Append(burst, mqtt.V5)
				came := []string{fmt.Sprint("in p PUBLISH t m", i), "routed p t -> sub sent"}
				in, out = append(in, came...), append(out, fmt.Sprint("out sub PUBLISH t m", i))
				both = append(both, append(came, out[i])...)
			}
			p.write(burst)
			synctest.Wait()
			client.want(t, in...)
			to.want(t, out...)
			topic.wantSet(t, both...)
		})
	}
}

func TestTraceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{SysInterval: -1})
		run := func(f trace.Filter) (lines []string) {
			err := w.b.Trace(t.Context(), f, func(e trace.Event) { lines = append(lines, string(e.Kind)+" "+e.Detail) })
			if err != nil {
				t.Error(err)
			}
			return lines
		}
		began := time.Now()
		if got := run(trace.Filter{}); time.Since(began) != time.Minute || !slices.Equal(got, []string{"began everything", "over its time is over"}) {
			t.Errorf("%v %q", time.Since(began), got)
		}
		p := w.connect("p")
		time.AfterFunc(time.Second, func() {
			for range 3 {
				p.publish("t", "", 0)
			}
		})
		if got := run(trace.Filter{Events: 3}); len(got) != 5 || got[4] != "over it has the number of events it was to have" {
			t.Errorf("%q", got)
		}
		for _, f := range []trace.Filter{{Address: "10.0.0.0/99"}, {Topic: "a#"}, {Payload: -1}} {
			if err := w.b.Trace(t.Context(), f, nil); err == nil {
				t.Errorf("%+v is taken", f)
			}
		}
		for range 8 {
			w.trace(trace.Filter{Client: "x"})
		}
		if err := w.b.Trace(t.Context(), trace.Filter{}, nil); err == nil || !strings.Contains(err.Error(), "8 in progress") {
			t.Error(err)
		}
	})
}

// What waits for one who does not take it is bounded in bytes, too.
func TestTraceOfLongFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{SysInterval: -1})
		p := w.connect("p")
		hold, done := make(chan struct{}), make(chan error)
		var size, missed int
		go func() {
			done <- w.b.Trace(t.Context(), trace.Filter{Client: "p", For: time.Hour}, func(e trace.Event) {
				<-hold
				missed += int(e.Count)
				for _, f := range e.Filters {
					size += len(f)
				}
			})
		}()
		synctest.Wait()
		long := strings.Repeat("x", 60000)
		for i := range 400 {
			u := packet.Unsubscribe{ID: mqtt.PacketID(i + 1), Filters: packet.TopicFilters(nil).Add(long)}
			p.write(u.Append(nil, mqtt.V5))
			p.want(packet.UNSUBACK)
		}
		close(hold)
		<-time.After(2 * time.Hour)
		if err := <-done; err != nil || size > 9<<20 || size < 8<<20 || missed == 0 {
			t.Errorf("%d bytes waited, %d events were missed: %v", size, missed, err)
		}
	})
}

// Whoever takes events too slowly misses some, and hears how many; the broker
// does not wait.
func TestTraceWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{SysInterval: -1})
		p := w.connect("p")
		ctx, cancel := context.WithCancel(t.Context())
		hold := make(chan struct{})
		var events, missed int
		done := make(chan error)
		go func() {
			done <- w.b.Trace(ctx, trace.Filter{Client: "p"}, func(e trace.Event) {
				<-hold
				switch e.Kind {
				case trace.Began:
				case trace.Missed:
					missed += int(e.Count)
				default:
					events++
				}
			})
		}()
		synctest.Wait()
		for range 5000 {
			p.publish("t", "", 0)
		}
		synctest.Wait()
		close(hold)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil || events+missed != 10_000 || missed == 0 {
			t.Error(err, events, missed)
		}
	})
}

// A refused connection is told to who asked for that client, before it was one.
func TestTraceOfRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{SysInterval: -1, Hooks: midge.Hooks{
			Authenticate: func(context.Context, *midge.Connect) error {
				return &midge.Refusal{Code: mqtt.BadUserNameOrPassword}
			},
		}})
		l := w.trace(trace.Filter{User: "joe", Packets: true, Payload: 100})
		c := packet.Connect{Version: mqtt.V311, ClientID: []byte("a"), CleanStart: true, HasUsername: true, Username: []byte("joe"), HasPassword: true, Password: []byte("secret")}
		p := w.dial()
		p.write(c.Append(nil))
		p.v = mqtt.V311
		p.want(packet.CONNACK)
		l.want(t, "in a CONNECT", "refused a (bad user name or password)")
	})
}

// What is said during the authentication of one client is not another's.
func TestTraceOfAuthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{SysInterval: -1, Hooks: midge.Hooks{
			Enhanced: func(context.Context, *midge.Connect, string) midge.Exchange { return new(twoSteps) },
		}})
		l, other := w.trace(trace.Filter{Client: "a", Packets: true}), w.trace(trace.Filter{Client: "b", Packets: true})
		p := w.dial()
		method := &packet.Properties{AuthenticationMethod: []byte("two")}
		method.Present = method.Present.With(packet.PropAuthenticationMethod)
		p.write((&packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("a"), Properties: method}).Append(nil))
		p.want(packet.AUTH)
		p.write((&packet.Auth{Code: mqtt.ContinueAuthentication, Properties: method}).Append(nil, p.v))
		p.want(packet.CONNACK)
		l.want(t, "in a CONNECT", "in a AUTH (continue authentication)", "connected a", "out a CONNACK")
		other.want(t)
	})
}

// twoSteps is an Exchange that asks once and is content with any answer.
type twoSteps struct{ asked bool }

func (x *twoSteps) Step(context.Context, []byte) ([]byte, bool, error) {
	done := x.asked
	x.asked = true
	return nil, done, nil
}

func ExampleBroker_Trace() {
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	b.Trace(context.Background(), trace.Filter{Topic: "sensors/#", Events: 1}, func(e trace.Event) {
		fmt.Println(strings.TrimSpace(fmt.Sprint(e.Kind, " ", e.Topic, " ", e.Fate, e.Detail)))
		if e.Kind == trace.Began {
			b.Publish(mqtt.Message{Topic: "sensors/attic", Payload: []byte("21.5")})
		}
	})
	// Output:
	// began  topic "sensors/#"
	// routed sensors/attic no subscriber
	// over  it has the number of events it was to have
}

// brief are the properties of a message that expires after a second.
var brief = mqtt.Properties{HasExpiry: true, MessageExpiry: 1}

// pass lets fake time go by.
func pass(d time.Duration) { <-time.After(d) }
