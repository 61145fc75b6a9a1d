package link_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// FuzzServer and FuzzClient throw bytes at a link's front door, in pieces cut
// where cuts says. The link may refuse them; it may not panic, take bytes it
// was not given, ask for more than a packet may have, or blame anyone but the
// peer.
func FuzzServer(f *testing.F) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		c := packet.Connect{Version: v, ClientID: []byte("c"), CleanStart: true}
		p := packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, ID: 1}
		s := packet.Subscribe{ID: 2, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("a/+")})}
		b := packet.AppendPingreq(s.Append(p.Append(p.Append(c.Append(nil), v), v), v))
		f.Add(b, []byte{1, 3, 200})
	}
	auth := packet.Connect{Version: mqtt.V5, ClientID: []byte("c"), Properties: method("m")}
	a := packet.Auth{Code: mqtt.ContinueAuthentication, Properties: auth.Properties}
	f.Add(a.Append(auth.Append(nil), mqtt.V5), []byte{})
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		var r link.Reader
		r.Init(link.Server, 0, 1<<16)
		feed(t, &r, in, cuts, packet.CONNECT, packet.AUTH)
	})
}

func FuzzClient(f *testing.F) {
	for i, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		p := packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 2, ID: 1}
		k := packet.Suback{Type: packet.SUBACK, ID: 2, Codes: []byte{0}}
		b := packet.AppendPingresp(k.Append(p.Append((&packet.Connack{}).Append(nil, v), v), v))
		f.Add(byte(i), b, []byte{2})
	}
	f.Fuzz(func(t *testing.T, v byte, in, cuts []byte) {
		var r link.Reader
		r.Init(link.Client, mqtt.V31+mqtt.Version(v%3), 1<<16)
		r.SetMethod([]byte("m"))
		feed(t, &r, in, cuts, packet.CONNACK)
	})
}

// feed reads in as a connection would and opens the session at any packet of
// an opening type.
func feed(t *testing.T, r *link.Reader, in, cuts []byte, opening ...packet.Type) {
	const limit = 1 << 16
	var p link.Packets
	read, taken := 0, 0
	var like packet.Publish // what the next repeating bytes are
	size, repeating := 0, 0
	for read < len(in) || len(cuts) > 0 {
		step := len(in) - read
		if len(cuts) > 0 {
			step, cuts = min(step, int(cuts[0])), cuts[1:]
		}
		read += step
		for {
			acks, together := r.Acks(in[taken:read])
			ty, n, need, err := r.Next(in[taken:read:read], &p)
			if together > 0 && (err != nil || ty != acks || n != link.AckSize || p.Ack.Code != mqtt.Success) {
				t.Fatalf("Acks sees %d bytes of %v, Next %v, %d, %v", together, acks, ty, n, err)
			}
			if repeating > 0 && (err != nil || n != size || !bytes.Equal(p.Publish.Topic, like.Topic) || p.Publish.QoS != like.QoS ||
				p.Publish.Dup != like.Dup || p.Publish.Retain != like.Retain || p.Publish.Properties.Present != 0) {
				t.Fatalf("Repeats sees %+v again, Next %v, %+v, %v", like, ty, p.Publish, err)
			}
			repeating -= n
			if ty == packet.PUBLISH && n > 0 && repeating <= 0 {
				like, size = p.Publish, n
				repeating = r.Repeats(in[taken:taken+n], &like, in[taken+n:read])
			}
			var fault *packet.Error
			switch {
			case err != nil && !errors.As(err, &fault):
				t.Fatalf("a fault that is not the peer's: %v", err)
			case err != nil:
				r.Close()
				if _, n, _, err := r.Next(in[taken:read], &p); err == nil && n > 0 {
					t.Fatal("a closed link takes packets")
				}
				return
			case n < 0 || taken+n > read:
				t.Fatalf("took %d of %d bytes", n, read-taken)
			case need > limit:
				t.Fatalf("wants room for %d bytes", need)
			}
			if n == 0 {
				break
			}
			taken += n
			for _, o := range opening {
				if ty == o && !r.Opened() {
					r.Open(mqtt.Limits{
						ReceiveMaximum: 10, MaxPacketSize: limit, TopicAliasMaximum: 3,
						MaxQoS: 2, RetainAvailable: true, SubscriptionIDs: true,
					})
				}
			}
		}
	}
}
