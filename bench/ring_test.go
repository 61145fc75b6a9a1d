package bench

import (
	"fmt"
	"testing"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// What a ring sends is what the codec would, with the numbers asked for.
func TestRing(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for q := mqtt.AtMostOnce; q <= mqtt.ExactlyOnce; q++ {
			r := newRing(7, v, q, false, 300, 10, func(i int) string { return fmt.Sprintf("t/%02d", i) })
			number, at := uint32(65530), schedule{rate: 10_000_000, publishers: 1}
			for left := 12; left > 0; {
				b, n := r.cut(number, left, at)
				for i := range n {
					checkPacket(t, b[i*r.size:(i+1)*r.size], v, q, stamp{7, number, int64(number) * 100})
					number++
				}
				left -= n
			}
		}
	}
}

func checkPacket(t *testing.T, b []byte, v mqtt.Version, q mqtt.QoS, want stamp) {
	t.Helper()
	h, err := packet.ReadHeader(b)
	if err != nil || h.Type != packet.PUBLISH || h.Size+h.Len != len(b) {
		t.Fatal(h, err, len(b))
	}
	var p packet.Publish
	if err := p.Decode(v, h.Flags, b[h.Size:]); err != nil {
		t.Fatal(err)
	}
	if got := readStamp(p.Payload); got != want {
		t.Errorf("stamp %+v, want %+v", got, want)
	}
	if topic := fmt.Sprintf("t/%02d", want.number%10); string(p.Topic) != topic {
		t.Errorf("topic %s, want %s", p.Topic, topic)
	}
	id := mqtt.PacketID(0)
	if q > 0 {
		id = mqtt.PacketID(want.number%65535 + 1)
	}
	if p.ID != id || p.QoS != q || len(p.Payload) != 300 {
		t.Errorf("identifier %d, QoS %d, %d bytes", p.ID, p.QoS, len(p.Payload))
	}
}
