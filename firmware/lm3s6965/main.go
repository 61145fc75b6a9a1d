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
	"net/netip"
	"time"

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
	frame [lan.MaxFrame]byte
)

func main() {
	cortexm.PaintStack()
	clock.Start()
	broker, err := tiny.New(plan.Limits(), tiny.Hooks{})
	check(err)
	mac := eth.configure()
	// The board has no source of randomness; what counts is that TCP's numbers
	// keep growing, which the clock sees to.
	seed := uint32(mac[3])<<16 | uint32(mac[4])<<8 | uint32(mac[5])
	check(srv.Configure(broker, seed))
	check(stack.Configure(lan.Config{MAC: mac, Addr: static(), Hostname: "midge", Seed: seed}, &srv))
	prepareIdle()

	con := console{broker: broker}
	con.bill()
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
		con.step(now)
		if !busy {
			idle()
		}
	}
}

// static returns the address that was built in; all zero: none.
func static() (a [4]byte) {
	if addr == "" {
		return a
	}
	parsed, err := netip.ParseAddr(addr)
	check(err)
	return parsed.As4()
}

func check(err error) {
	if err != nil {
		println("fatal:", err.Error())
		panic(err)
	}
}

// console says what there is to know, a line a second.
type console struct {
	broker *tiny.Broker
	addr   [4]byte
	next   time.Duration
}

// bill says what the program takes of the chip.
func (c *console) bill() {
	m := cortexm.Measure()
	println("memory: flash", m.Flash, "static", m.Static, "stack", m.Stack, "heap", m.Heap, "ram", m.RAM())
}

func (c *console) step(now time.Duration) {
	if a := stack.Addr(); a != c.addr {
		c.addr = a
		println("listening:", a[0], a[1], a[2], a[3], "port", plan.Port)
	}
	if now < c.next {
		return
	}
	c.next = now + time.Second
	m := cortexm.Measure()
	s := c.broker.Stats()
	println("status: seconds", int(now/time.Second), "clients", s.Clients, "in", s.In, "out", s.Out, "dropped", s.Dropped,
		"mallocs", m.Mallocs, "heap", m.Heap, "stack", m.StackUsed)
}
