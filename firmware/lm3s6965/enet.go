//go:build tinygo && lm3s6965

package main

import (
	"device/arm"
	"runtime/volatile"
	"unsafe"
)

// The chip's Ethernet controller, polled. Its interrupt is left pending and
// only wakes the processor.
type enet struct {
	ris  volatile.Register32 // what happened; write to acknowledge
	im   volatile.Register32
	rctl volatile.Register32
	tctl volatile.Register32
	data volatile.Register32 // both FIFOs
	ia0  volatile.Register32
	ia1  volatile.Register32
	thr  volatile.Register32
	mctl volatile.Register32
	mdv  volatile.Register32
	_    uint32
	mtxd volatile.Register32
	mrxd volatile.Register32
	np   volatile.Register32 // frames that wait
	tr   volatile.Register32 // begin to send
}

const (
	enetIRQ   = 42
	timer0IRQ = 19
	timer0    = 0x40030000
	minFrame  = 14
)

var eth = (*enet)(unsafe.Pointer(uintptr(0x40048000)))

func register(addr uintptr) *volatile.Register32 {
	return (*volatile.Register32)(unsafe.Pointer(addr))
}

// configure switches the controller on and returns the station's address.
func (e *enet) configure() (mac [6]byte) {
	register(0x400fe108).SetBits(1<<28 | 1<<30) // RCGC2: clock for MAC and PHY
	e.im.Set(0)
	e.ris.Set(0xff)
	a, b := e.ia0.Get(), e.ia1.Get()
	mac = [6]byte{byte(a), byte(a >> 8), byte(a >> 16), byte(a >> 24), byte(b), byte(b >> 8)}
	e.rctl.Set(1 << 4)       // empty the FIFO
	e.rctl.Set(1<<3 | 1<<0)  // drop bad CRCs, receive
	e.tctl.Set(1<<4 | 1<<2 | // full duplex, append the CRC,
		1<<1 | 1<<0) // pad, send
	e.im.Set(1) // received a frame
	return mac
}

// receive reads one frame into buf and returns its length without the CRC; 0:
// there is none, or it did not fit and was dropped.
func (e *enet) receive(buf []byte) int {
	if e.np.Get() == 0 {
		return 0
	}
	w := e.data.Get()
	total := int(w & 0xffff) // counts itself (2 bytes) and the CRC (4)
	n := total - 6
	if n < minFrame || n > len(buf) {
		for got := 4; got < total; got += 4 {
			e.data.Get()
		}
		return 0
	}
	buf[0], buf[1] = byte(w>>16), byte(w>>24)
	i := 2
	for got := 4; got < total; got += 4 {
		w = e.data.Get()
		if i+4 <= n {
			buf[i], buf[i+1], buf[i+2], buf[i+3] = byte(w), byte(w>>8), byte(w>>16), byte(w>>24)
			i += 4
			continue
		}
		for ; i < n; i++ {
			buf[i], w = byte(w), w>>8
		}
	}
	return n
}

// send sends one frame, to which the controller appends the CRC.
func (e *enet) send(frame []byte) {
	for e.tr.Get()&1 != 0 {
	}
	n := len(frame)
	e.data.Set(uint32(n-minFrame) | uint32(frame[0])<<16 | uint32(frame[1])<<24)
	i := 2
	for ; i+4 <= n; i += 4 {
		e.data.Set(uint32(frame[i]) | uint32(frame[i+1])<<8 | uint32(frame[i+2])<<16 | uint32(frame[i+3])<<24)
	}
	if i < n {
		var w uint32
		for j := 0; i < n; i, j = i+1, j+8 {
			w |= uint32(frame[i]) << j
		}
		e.data.Set(w)
	}
	e.tr.Set(1)
}

// prepareIdle arranges that idle wakes for a frame, and every 10 ms.
func prepareIdle() {
	arm.DisableInterrupts()               // WFI wakes for one that pends, and no handler is needed
	register(0x400fe104).SetBits(1 << 16) // RCGC1: clock for timer 0
	register(timer0 + 0x0c).Set(0)        // CTL: off
	register(timer0 + 0x00).Set(0)        // CFG: 32 bits
	register(timer0 + 0x04).Set(2)        // TAMR: periodic
	register(timer0 + 0x28).Set(125000 - 1)
	register(timer0 + 0x18).Set(1) // IMR: time-out
	register(timer0 + 0x0c).Set(1)
	register(0xe000e100 + timer0IRQ/32*4).Set(1 << (timer0IRQ % 32))
	register(0xe000e100 + enetIRQ/32*4).Set(1 << (enetIRQ % 32))
}

// idle sleeps until a frame waits or the timer ticks.
func idle() {
	if eth.np.Get() == 0 {
		arm.Asm("wfi")
	}
	eth.ris.Set(0x7f)
	register(timer0 + 0x24).Set(1)
	register(0xe000e280 + timer0IRQ/32*4).Set(1 << (timer0IRQ % 32))
	register(0xe000e280 + enetIRQ/32*4).Set(1 << (enetIRQ % 32))
}
