package conform

import (
	"fmt"
	"strings"
	"time"
)

// What rivals were found to get wrong when a client does not read.
var stallChecks = []Check{
	check("stall/publisher is not delayed by a subscriber that does not read", stalledSubscriber, on31,
		on311("3.3.4-1 4.3.2-2 X311-4.8-a"), on5("3.3.4-1 4.3.2-4 4.9.0-3")),
	check("stall/acknowledged messages reach a slow reader", slowReader, on31,
		on311("3.1.2-5 4.5.0-1 4.3.2-2"), on5("4.5.0-1 4.3.2-4")),
	check("stall/aliases survive dropped messages", aliasesStalled, on5("3.1.2-26 3.3.2-7")),
	check("stall/others get theirs", othersServed, on31, on311("3.3.2-3 X311-4.8-a"), on5("3.3.2-3")),
}

// bulk is 9 MB: more than the kernel buffers of a connection hold, less than
// any broker's default queue should.
const (
	bulkMessages = 150
	bulkSize     = 60_000
)

// bulkBody is a payload that says its number.
func bulkBody(p *peer, i int) string {
	size := min(bulkSize, p.maxPacket()-200)
	head := fmt.Sprintf("%06d ", i)
	return head + strings.Repeat("x", size-len(head))
}

// stalled connects a subscriber of "t" that stops reading after its SUBACK.
func (t *T) stalled(name string, c connect, opts byte) *peer {
	p := t.connect(name, c)
	p.subscribe(t.topic("t"), opts)
	p.pause()
	return p
}

func stalledSubscriber(t *T) {
	t.stalled("sub", connect{}, 1)
	pub := t.connect("pub", connect{})
	worst := time.Duration(0)
	for i := range bulkMessages {
		start := time.Now()
		if c := pub.publish(publish{topic: t.topic("t"), payload: bulkBody(pub, i), qos: 1}); c >= 0x80 && c != 0x97 {
			t.failf("want PUBACK with success or quota exceeded, got 0x%02X", c)
		}
		worst = max(worst, time.Since(start))
	}
	if worst > t.target.patience() {
		t.failf("want every PUBACK within %v, the slowest took %v", t.target.patience(), worst)
	}
}

// slowReader: what was acknowledged to its publisher is delivered, be it on
// this connection or, if the broker gives up on it, on the next.
func slowReader(t *T) {
	sub := t.stalled("sub", t.lasting(connect{keep: true}), 1)
	pub := t.connect("pub", connect{})
	owed := map[string]bool{}
	for i := range bulkMessages {
		body := bulkBody(pub, i)
		if pub.publish(publish{topic: t.topic("t"), payload: body, qos: 1}) < 0x80 {
			owed[body[:6]] = true
		}
	}
	sub.resume()
	for tries := 0; len(owed) > 0; {
		r, err := sub.next(t.target.patience(), func(r *reply) bool { return r.typ == typePUBLISH })
		switch {
		case r != nil:
			delete(owed, r.payload[:6])
			sub.acknowledge(r)
		case err != nil && tries < 3:
			tries++
			sub = t.session("sub")
		default:
			t.failf("want every acknowledged message delivered, %d of %d are not", len(owed), bulkMessages)
		}
	}
}

// aliasesStalled leaves the verdict to the peer, which fails on an alias that
// was never defined on the wire.
func aliasesStalled(t *T) {
	sub := t.connect("sub", connect{props: property(pAliasMaximum, 20)})
	sub.subscribe(t.topic("#"), 0)
	sub.pause()
	pub := t.connect("pub", connect{})
	for i := range bulkMessages {
		pub.accept(publish{topic: t.topic(fmt.Sprint("t", i%30)), payload: bulkBody(pub, i), qos: 0})
	}
	pub.ping()
	sub.resume()
	for range bulkMessages {
		r, err := sub.next(t.target.idle(), func(r *reply) bool { return r.typ == typePUBLISH })
		if r == nil {
			if err != nil {
				return // cut off for being slow, which is the broker's right
			}
			break
		}
		if want := t.topic("t"); !strings.HasPrefix(r.topic, want) {
			t.failf("want a topic that was published, got %q", r.topic)
		}
	}
	for i := range 30 {
		name := t.topic(fmt.Sprint("t", i))
		pub.accept(publish{topic: name, payload: "after", qos: 0})
		sub.pick("the message once there is room", typePUBLISH, topic(name), payload("after"))
	}
}

func othersServed(t *T) {
	t.stalled("stuck", connect{}, 1)
	well := t.connect("well", connect{})
	well.subscribe(t.topic("t"), 1)
	pub := t.connect("pub", connect{})
	for i := range bulkMessages {
		body := bulkBody(pub, i)
		pub.accept(publish{topic: t.topic("t"), payload: body, qos: 1})
		well.take("though another does not read", t.topic("t"), body)
	}
}
