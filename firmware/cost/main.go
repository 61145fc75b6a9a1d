//go:build tinygo && lm3s6965

// Command cost counts the processor's instructions for one message on its way
// through the broker: QoS 0, 64 bytes of payload, one subscriber. QEMU is to be
// started with -icount shift=0, so that an instruction takes one nanosecond of
// the machine's time.
package main

import (
	"device/arm"
	"time"

	"github.com/midgemq/midge/firmware/internal/console"
	"github.com/midgemq/midge/firmware/internal/cortexm"
	"github.com/midgemq/midge/firmware/internal/plan"
	"github.com/midgemq/midge/tiny"
)

const (
	rounds  = 5000
	topic   = "house/kitchen/temperature"
	payload = 64
)

var (
	clock cortexm.Clock
	out   [plan.Out]byte
)

func main() {
	clock.Start()
	calibrate()
	for _, version := range []byte{4, 5} {
		broker, err := tiny.New(plan.Limits(), tiny.Hooks{})
		console.Check(err)
		broker.Step(clock.Now())
		measure(broker, version)
	}
}

// calibrate counts a loop of known length, to see that the clock counts
// instructions.
func calibrate() {
	began := clock.Now()
	arm.AsmFull(`
		movw {n}, #0xa120
		movt {n}, #7
	1:	subs {n}, {n}, #1
		bne 1b
	`, map[string]interface{}{"n": uint32(0)})
	println("calibration: instructions", 1000000, "counted", count(clock.Now()-began))
}

func count(d time.Duration) int { return int(d / time.Nanosecond) }

// measure routes messages from a publisher to a subscriber.
func measure(b *tiny.Broker, version byte) {
	sub, pub := login(b, version, 's'), login(b, version, 'p')
	subscribe := append([]byte{0, 1}, none(version)...)
	subscribe = append(text(subscribe, topic), 0)
	say(b, sub, 0x82, subscribe)
	publish := append(text(nil, topic), none(version)...)
	publish = packet(0x30, append(publish, make([]byte, payload)...))

	sent := 0
	began := clock.Now()
	for range rounds {
		if b.Receive(pub, publish) != len(publish) {
			println("fatal: not taken")
			return
		}
		sent += b.Outgoing(sub, out[:])
	}
	total := count(clock.Now() - began)
	if sent != rounds*len(publish) {
		println("fatal: bytes", sent, "of", rounds*len(publish))
		return
	}
	println("cost: version", version, "instructions", total/rounds, "bytes", len(publish))
}

// login connects a client and takes its CONNACK.
func login(b *tiny.Broker, version, id byte) tiny.Slot {
	slot, ok := b.Accept()
	if !ok {
		println("fatal: no slot")
	}
	body := append(text(nil, "MQTT"), version, 2, 0, 0)
	body = append(body, none(version)...)
	say(b, slot, 0x10, text(body, string(rune(id))))
	return slot
}

// say hands the broker a packet, and takes its answer.
func say(b *tiny.Broker, slot tiny.Slot, head byte, body []byte) {
	p := packet(head, body)
	if b.Receive(slot, p) != len(p) || b.Outgoing(slot, out[:]) == 0 {
		println("fatal: packet", head)
	}
}

func packet(head byte, body []byte) []byte {
	return append([]byte{head, byte(len(body))}, body...)
}

func text(b []byte, s string) []byte { return append(append(b, 0, byte(len(s))), s...) }

// none is an empty list of properties, where the version has them.
func none(version byte) []byte {
	if version == 5 {
		return []byte{0}
	}
	return nil
}
