package firmware

import "testing"

// maxCost is what a message may cost, in instructions of a Cortex-M3.
const maxCost = 2000

// TestCost counts the instructions of a QoS 0 message with 64 bytes of payload
// on its way through the broker to one subscriber.
func TestCost(t *testing.T) {
	b := boot(t, build(t, "lm3s6965", "./cost"), slirp, "-icount", "shift=0")
	clock := b.wait(t, 0, "the calibration", func(r report) bool { return r.kind == "calibration" })
	if clock.n["instructions"] != clock.n["counted"] {
		t.Fatalf("the clock does not count instructions: %s", clock.rest)
	}
	for _, version := range []int{4, 5} {
		r := b.wait(t, 0, "the cost", func(r report) bool { return r.kind == "cost" && r.n["version"] == version })
		if r.n["instructions"] > maxCost {
			t.Errorf("%s: more than %d", r.rest, maxCost)
		}
		t.Log("MQTT", r.rest)
	}
}
