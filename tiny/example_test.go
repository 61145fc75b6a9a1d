package tiny_test

import (
	"fmt"
	"time"

	"github.com/midgemq/midge/tiny"
)

// A broker is bytes in, bytes out and the time: here a client's CONNECT is
// answered. On a chip the bytes come from a TCP stack, the time from a timer.
func Example() {
	b, err := tiny.New(tiny.Limits{Clients: 4}, tiny.Hooks{})
	if err != nil {
		fmt.Println(err)
		return
	}
	b.Step(0)
	slot, _ := b.Accept()
	connect := []byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c") // MQTT 3.1.1, clean, as "c"
	taken := b.Receive(slot, connect)

	out := make([]byte, b.Limits().MaxOutgoing())
	fmt.Printf("took %d of %d bytes, answers % x\n", taken, len(connect), out[:b.Outgoing(slot, out)])
	b.Step(90 * time.Second) // one and a half keep alives later
	fmt.Println("over:", b.Outgoing(slot, out) == 0 && b.Over(slot))
	b.Closed(slot)
	// Output:
	// took 15 of 15 bytes, answers 20 02 00 00
	// over: true
}
