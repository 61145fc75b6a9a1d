package link_test

import (
	"fmt"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A server takes a CONNECT and a PUBLISH out of one read.
func ExampleReader() {
	c := packet.Connect{Version: mqtt.V311, ClientID: []byte("sensor"), CleanStart: true}
	p := packet.Publish{Topic: []byte("attic"), Payload: []byte("21.5")}
	read := p.Append(c.Append(nil), mqtt.V311)

	var r link.Reader
	var packets link.Packets
	r.Init(link.Server, 0, 1<<20)
	for len(read) > 0 {
		t, n, _, err := r.Next(read, &packets)
		if err != nil || n == 0 {
			fmt.Println(err)
			return
		}
		switch t {
		case packet.CONNECT:
			fmt.Printf("%s speaks %v\n", packets.Connect.ClientID, r.Version())
			r.Open(mqtt.Unlimited())
		case packet.PUBLISH:
			fmt.Printf("%s: %s\n", packets.Publish.Topic, packets.Publish.Payload)
		}
		read = read[n:]
	}
	// Output:
	// sensor speaks 3.1.1
	// attic: 21.5
}
