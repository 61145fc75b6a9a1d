package link_test

import (
	"testing"
	"time"

	"github.com/midgemq/midge/link"
)

const s = time.Second

// [MQTT-3.1.2-24, 3.1.1] [MQTT-3.1.2-22, 5.0] [X5-3.1.4-a] [X311-3.1.4-a]
func TestServerTimer(t *testing.T) {
	var k link.Timer
	k.Init(100*s, 10*s)
	if at, ok := k.Next(); !ok || at != 110*s || k.Check(109*s) != link.Wait || k.Check(110*s) != link.Late {
		t.Errorf("CONNECT is due at %v", at)
	}
	k.Open(105*s, 20)
	if at, _ := k.Next(); at != 135*s || k.Check(134*s) != link.Wait || k.Check(135*s) != link.Quiet {
		t.Errorf("silence ends at %v, want one and a half keep alives", at)
	}
	if k.KeepAlive() != 20 {
		t.Errorf("keep alive %d", k.KeepAlive())
	}
	k.Heard(130 * s)
	if k.Check(159*s) != link.Wait || k.Check(160*s) != link.Quiet {
		t.Error("a packet does not start the wait anew")
	}
	k.Init(0, 5*s)
	if k.Heard(s); k.Check(5*s) != link.Late {
		t.Error("half a CONNECT buys time")
	}
	k.Open(0, 0)
	if _, ok := k.Next(); ok || k.Check(1<<60) != link.Wait {
		t.Error("keep alive 0 is no limit")
	}
}

// [MQTT-3.1.2-23, 3.1.1] [MQTT-3.1.2-20, 5.0] [X5-3.1.2.10-a] [X311-3.1.2.10-a]
func TestPinger(t *testing.T) {
	var k link.Pinger
	k.Open(0, 20)
	k.Heard(10 * s)
	k.Said(10 * s)
	if k.Check(29*s) != link.Wait || k.Check(30*s) != link.Ping {
		t.Error("PINGREQ is due when nothing was said for a keep alive")
	}
	k.Pinged(30 * s)
	if k.Check(39*s) != link.Wait || k.Check(40*s) != link.Quiet {
		t.Error("PINGRESP is due within half a keep alive")
	}
	k.Heard(35 * s)
	if k.Check(49*s) != link.Wait || k.Check(50*s) != link.Ping {
		t.Error("an answer ends the wait")
	}
	k.Said(54 * s)
	if k.Check(55*s) != link.Ping {
		t.Error("PINGREQ is due when nothing was heard for a keep alive, whatever was said")
	}
}
