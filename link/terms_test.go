package link

import (
	"testing"
	"unsafe"

	"github.com/midgemq/midge/mqtt"
)

func TestTermsHoldLimits(t *testing.T) {
	for i := range 32 {
		l := mqtt.Limits{
			ReceiveMaximum: uint16(i), MaxPacketSize: 1<<28 - uint32(i), TopicAliasMaximum: uint16(2 * i),
			MaxQoS:          mqtt.QoS(i % 3),
			RetainAvailable: i&1 != 0, WildcardAvailable: i&2 != 0, SubscriptionIDs: i&4 != 0, SharedAvailable: i&8 != 0,
		}
		if got := unpack(pack(&l)); got != l {
			t.Errorf("%+v came back as %+v", l, got)
		}
	}
	if got := unpack(terms{}, grantShared); got != (mqtt.Limits{SharedAvailable: true}) {
		t.Errorf("one grant is %+v", got)
	}
}

// A million connections have a million of each.
func TestLinkIsSmall(t *testing.T) {
	if r, w, k := unsafe.Sizeof(Reader{}), unsafe.Sizeof(Writer{}), unsafe.Sizeof(Timer{}); r > 24 || w > 24 || k > 16 {
		t.Errorf("Reader, Writer and Timer have %d, %d and %d bytes", r, w, k)
	}
}
