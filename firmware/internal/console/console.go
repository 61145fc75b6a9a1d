// Package console says on the serial line what a board has to say, one line a
// second: words and numbers in turn, for people and for tests.
package console

import (
	"runtime"
	"time"

	"github.com/midgemq/midge/firmware/internal/lan"
	"github.com/midgemq/midge/firmware/internal/plan"
	"github.com/midgemq/midge/tiny"
)

// Console watches a broker and its network.
type Console struct {
	Broker *tiny.Broker
	Stack  *lan.Stack
	// Deepest returns the most bytes of stack there ever were; nil: not known.
	Deepest func() int

	addr  [4]byte
	next  time.Duration
	stats runtime.MemStats // static: it is 200 bytes of stack otherwise
}

// Step says what is due.
func (c *Console) Step(now time.Duration) {
	if a := c.Stack.Addr(); a != c.addr {
		c.addr = a
		print("listening: ", a[0], ".", a[1], ".", a[2], ".", a[3], ":", plan.Port, "\n")
	}
	if now < c.next {
		return
	}
	c.next = now + time.Second
	runtime.ReadMemStats(&c.stats)
	s := c.Broker.Stats()
	print("status: seconds ", int(now/time.Second), " clients ", s.Clients, " sessions ", s.Sessions,
		" in ", s.Received, " out ", s.Sent, " dropped ", s.Dropped, " refused ", s.Refused, " slab ", s.SlabPeak,
		" mallocs ", uint32(c.stats.Mallocs), " heap ", uint32(c.stats.HeapInuse))
	if c.Deepest != nil {
		print(" stack ", c.Deepest())
	}
	print("\n")
}

// Check ends the program with a word when err is not nil.
func Check(err error) {
	if err != nil {
		println("fatal:", err.Error())
		panic("fatal")
	}
}

// Address reads a dotted IPv4 address that was built in; "" is all zero: ask
// DHCP. It panics at what is neither.
func Address(s string) (a [4]byte) {
	if s == "" {
		return a
	}
	part, value, digits := 0, 0, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i < len(s) && s[i] >= '0' && s[i] <= '9':
			value, digits = 10*value+int(s[i]-'0'), digits+1
		case digits > 0 && digits < 4 && value < 256 && part < 4 && (i == len(s) || s[i] == '.'):
			a[part] = byte(value)
			part, value, digits = part+1, 0, 0
		default:
			panic("fatal: not an address: " + s)
		}
	}
	if part != 4 {
		panic("fatal: not an address: " + s)
	}
	return a
}
