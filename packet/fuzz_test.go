package packet

import (
	"bytes"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

// Each target below decodes a body and holds that what decodes can be encoded,
// decodes again, and encodes to the same bytes: a fixpoint after one turn.

// version makes one of the three of any byte.
func version(b byte) mqtt.Version { return mqtt.V31 + mqtt.Version(b%3) }

// body cuts the header off a packet this package encoded.
func body(t *testing.T, whole []byte) []byte {
	h, err := ReadHeader(whole)
	if err != nil || h.Size+h.Len != len(whole) {
		t.Fatalf("encoded % x, whose header is %+v, %v", whole, h, err)
	}
	return whole[h.Size:]
}

// fixpoint decodes b, encodes it, and wants the same twice over.
func fixpoint(t *testing.T, b []byte, decode func([]byte) error, encode func() []byte) {
	if decode(b) != nil {
		return
	}
	once := encode()
	if err := decode(body(t, once)); err != nil {
		t.Fatalf("% x was decoded, % x was not: %v", b, once, err)
	}
	if twice := encode(); !bytes.Equal(once, twice) {
		t.Fatalf("encoded % x, then % x", once, twice)
	}
}

func seed(f *testing.F, packets func(v mqtt.Version) [][]byte) {
	for i := range byte(3) {
		for _, whole := range packets(version(i)) {
			h, err := ReadHeader(whole)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(i, h.Flags, whole[h.Size:])
		}
	}
}

func samples(v mqtt.Version) *Properties {
	if v != mqtt.V5 {
		return &Properties{}
	}
	return &Properties{Users: UserProperties(nil).Add("k", "v").Add("", "")}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 0x01})
	f.Add([]byte{0xC0, 0})
	f.Add([]byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHeader(b)
		if err != nil {
			return
		}
		if again := AppendHeader(nil, h.Type, h.Flags, h.Len); !bytes.HasPrefix(b, again) {
			t.Fatalf("% x became % x", b, again)
		}
		for i := range byte(3) {
			h.Check(version(i))
		}
	})
}

func FuzzConnect(f *testing.F) {
	seed(f, func(v mqtt.Version) [][]byte {
		c := Connect{Version: v, CleanStart: true, KeepAlive: 9, ClientID: []byte("id"), Properties: samples(v)}
		full := c
		full.HasWill, full.Will = true, Will{Topic: []byte("w"), Payload: []byte("p"), QoS: 2, Retain: true, Properties: samples(v)}
		full.HasUsername, full.HasPassword, full.Username, full.Password = true, true, []byte("u"), []byte("p")
		full.Properties.SessionExpiryInterval, full.Properties.ReceiveMaximum = 7, 9
		full.Properties.AuthenticationMethod, full.Properties.AuthenticationData = []byte("m"), []byte("d")
		return [][]byte{c.Append(nil), full.Append(nil)}
	})
	f.Fuzz(func(t *testing.T, _, _ byte, b []byte) {
		var p Connect
		fixpoint(t, b, p.Decode, func() []byte { return p.Append(nil) })
	})
}

func FuzzConnack(f *testing.F) {
	seed(f, func(v mqtt.Version) [][]byte {
		full := Connack{SessionPresent: v != mqtt.V31, Properties: samples(v)}
		full.Properties.MaximumPacketSize, full.Properties.ServerKeepAlive = 99, 9
		full.Properties.AssignedClientIdentifier = []byte("a")
		full.Properties.Present = setOf(PropRetainAvailable, PropMaximumQoS)
		return [][]byte{(&Connack{}).Append(nil, v), full.Append(nil, v)}
	})
	f.Fuzz(func(t *testing.T, v, _ byte, b []byte) {
		var p Connack
		fixpoint(t, b, func(b []byte) error { return p.Decode(version(v), b) }, func() []byte { return p.Append(nil, version(v)) })
	})
}

func FuzzPublish(f *testing.F) {
	seed(f, func(v mqtt.Version) [][]byte {
		p := Publish{Topic: []byte("a/b"), Payload: []byte("x"), QoS: 2, ID: 7, Dup: true, Retain: true, Properties: samples(v)}
		q := Publish{Topic: []byte("a"), Properties: samples(v)}
		q.Properties.ContentType, q.Properties.ResponseTopic = []byte("c"), []byte("r")
		q.Properties.TopicAlias, q.Properties.SubscriptionIdentifier = 3, 200
		return [][]byte{p.Append(nil, v), q.Append(nil, v)}
	})
	f.Fuzz(func(t *testing.T, v, flags byte, b []byte) {
		var p Publish
		if (Header{Type: PUBLISH, Flags: flags & 15}).Check(version(v)) != nil {
			return
		}
		fixpoint(t, b, func(b []byte) error { return p.Decode(version(v), flags&15, b) }, func() []byte {
			if got, want := p.Size(version(v)), len(p.Append(nil, version(v))); got != want {
				t.Fatalf("Size is %d, the packet takes %d", got, want)
			}
			return p.Append(nil, version(v))
		})
		p.PayloadFormatOK()
	})
}

func FuzzAck(f *testing.F) {
	seed(f, func(v mqtt.Version) [][]byte {
		p := Ack{Type: PUBREC, ID: 7, Code: mqtt.QuotaExceeded, Properties: samples(v)}
		p.Properties.ReasonString = []byte("why")
		return [][]byte{(&Ack{Type: PUBACK, ID: 1}).Append(nil, v), p.Append(nil, v)}
	})
	f.Fuzz(func(t *testing.T, v, ty byte, b []byte) {
		var p Ack
		fixpoint(t, b, func(b []byte) error { return p.Decode(version(v), PUBACK+Type(ty%4), b) }, func() []byte {
			if got, want := p.Size(version(v)), len(p.Append(nil, version(v))); got != want {
				t.Fatalf("Size is %d, the packet takes %d", got, want)
			}
			return p.Append(nil, version(v))
		})
	})
}

func FuzzSubscribe(f *testing.F) {
	seed(f, func(v mqtt.Version) [][]byte {
		s := Subscription{Filter: []byte("a/#"), QoS: 1}
		p := Subscribe{ID: 1, Properties: samples(v), Filters: Filters(nil).Add(s).Add(s)}
		if v == mqtt.V5 {
			p.Properties.SubscriptionIdentifier = 300
			p.Filters = p.Filters.Add(Subscription{Filter: []byte("$share/g/t"), RetainAsPublished: true, RetainHandling: 2})
		}
		return [][]byte{p.Append(nil, v)}
	})
	f.Fuzz(func(t *testing.T, v, _ byte, b []byte) {
		var p Subscribe
		fixpoint(t, b, func(b []byte) error { return p.Decode(version(v), b) }, func() []byte {
			var again Filters
			for s := range p.Filters.All() {
				again = again.Add(s)
			}
			if !bytes.Equal(again, p.Filters) {
				t.Fatalf("filters % x became % x", p.Filters, again)
			}
			return p.Append(nil, version(v))
		})
	})
}

func FuzzSuback(f *testing.F) {
	seed(f, func(v mqtt.Version) [][]byte {
		p := Suback{Type: SUBACK, ID: 1, Codes: []byte{0, 1, 2, 0x80}, Properties: samples(v)}
		return [][]byte{p.Append(nil, v), (&Suback{Type: UNSUBACK, ID: 1, Codes: []byte{0}}).Append(nil, v)}
	})
	f.Fuzz(func(t *testing.T, v, ty byte, b []byte) {
		var p Suback
		typ := SUBACK
		if ty%2 == 1 {
			typ = UNSUBACK
		}
		fixpoint(t, b, func(b []byte) error { return p.Decode(version(v), typ, b) }, func() []byte { return p.Append(nil, version(v)) })
	})
}

func FuzzUnsubscribe(f *testing.F) {
	seed(f, func(v mqtt.Version) [][]byte {
		p := Unsubscribe{ID: 1, Properties: samples(v), Filters: TopicFilters(nil).Add("a").Add("b/+")}
		return [][]byte{p.Append(nil, v)}
	})
	f.Fuzz(func(t *testing.T, v, _ byte, b []byte) {
		var p Unsubscribe
		fixpoint(t, b, func(b []byte) error { return p.Decode(version(v), b) }, func() []byte {
			var again TopicFilters
			for filter := range p.Filters.All() {
				again = again.Add(string(filter))
			}
			if !bytes.Equal(again, p.Filters) {
				t.Fatalf("filters % x became % x", p.Filters, again)
			}
			return p.Append(nil, version(v))
		})
	})
}

func FuzzDisconnect(f *testing.F) {
	seed(f, func(v mqtt.Version) [][]byte {
		p := Disconnect{Code: mqtt.DisconnectWithWill, Properties: samples(v)}
		p.Properties.Present = p.Properties.Present.With(PropSessionExpiryInterval)
		return [][]byte{(&Disconnect{}).Append(nil, v), p.Append(nil, v)}
	})
	f.Fuzz(func(t *testing.T, v, _ byte, b []byte) {
		var p Disconnect
		fixpoint(t, b, func(b []byte) error { return p.Decode(version(v), b) }, func() []byte { return p.Append(nil, version(v)) })
	})
}

func FuzzAuth(f *testing.F) {
	seed(f, func(mqtt.Version) [][]byte {
		p := Auth{Code: mqtt.ContinueAuthentication, Properties: &Properties{
			AuthenticationMethod: []byte("m"), AuthenticationData: []byte("d"),
		}}
		return [][]byte{p.Append(nil, mqtt.V5)}
	})
	f.Fuzz(func(t *testing.T, _, _ byte, b []byte) {
		var p Auth
		fixpoint(t, b, p.Decode, func() []byte { return p.Append(nil, mqtt.V5) })
	})
}
