package packet_test

import (
	"fmt"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A PUBLISH goes into a buffer and comes out as views of it.
func Example() {
	out := packet.Publish{Topic: []byte("hello"), Payload: []byte("world"), QoS: mqtt.AtLeastOnce, ID: 7}
	out.Properties = &packet.Properties{ContentType: []byte("text/plain")}
	wire := out.Append(nil, mqtt.V5)

	h, err := packet.ReadHeader(wire)
	if err != nil {
		fmt.Println(err)
		return
	}
	var in packet.Publish
	if err := in.Decode(mqtt.V5, h.Flags, wire[h.Size:h.Size+h.Len]); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v %s=%s, %s\n", h.Type, in.Topic, in.Payload, in.Properties.ContentType)
	// Output: PUBLISH hello=world, text/plain
}
