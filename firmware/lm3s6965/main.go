//go:build tinygo && lm3s6965

// Command lm3s6965 is the broker on a Texas Instruments LM3S6965 (Cortex-M3,
// 256 KB flash, 64 KB RAM, Ethernet), as QEMU's machine lm3s6965evb has it: no
// operating system, no goroutine, one loop.
//
// It asks DHCP for an address, or is built with one:
//
//	tinygo build -target=lm3s6965 -ldflags '-X main.addr=10.0.2.15' ./lm3s6965
package main

import (
	"runtime"

	"github.com/midgemq/midge/firmware/internal/console"
	"github.com/midgemq/midge/firmware/internal/cortexm"
	"github.com/midgemq/midge/firmware/internal/lan"
	"github.com/midgemq/midge/firmware/internal/plan"
	"github.com/midgemq/midge/firmware/internal/server"
	"github.com/midgemq/midge/tiny"
)

// addr is the static address, set at build time; empty: DHCP.
var addr string

var (
	clock cortexm.Clock
	stack lan.Stack
	srv   server.Server
	con   console.Console
	frame [lan.MaxFrame]byte
)

func main() {
	cortexm.PaintStack()
	clock.Start()
	broker, err := tiny.New(plan.Limits(), tiny.Hooks{})
	console.Check(err)
	mac := eth.configure()
	// The board has no source of randomness; what counts is that TCP's numbers
	// keep growing, which the clock sees to.
	seed := uint32(mac[3])<<16 | uint32(mac[4])<<8 | uint32(mac[5])
	console.Check(srv.Configure(broker, seed))
	console.Check(stack.Configure(lan.Config{MAC: mac, Addr: console.Address(addr), Hostname: "midge", Seed: seed}, &srv))
	prepareIdle()

	con.Broker, con.Stack, con.Deepest = broker, &stack, cortexm.StackUsed
	announced := plan.Limits().Bytes()
	runtime.GC() // what only setting up needed; from here on there is nothing to collect
	m := cortexm.Measure()
	println("memory: flash", m.Flash, "static", m.Static, "stack", m.Stack, "heap", m.Heap, "broker", announced)
	for {
		now := clock.Now()
		n := eth.receive(frame[:])
		if n > 0 {
			stack.Receive(frame[:n])
		}
		stack.Step(now)
		srv.Step(now)
		busy := n > 0
		for n = stack.Send(frame[:]); n > 0; n = stack.Send(frame[:]) {
			eth.send(frame[:n])
			busy = true
		}
		con.Step(now)
		if !busy {
			idle()
		}
	}
}
