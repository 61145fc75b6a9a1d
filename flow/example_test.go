package flow_test

import (
	"fmt"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
)

// A QoS 2 message is sent, the connection is lost after PUBREC, and the next
// connection goes on where the last one stopped.
func ExampleOutbound() {
	var out flow.Outbound[string]
	out.Init(16, nil)
	out.Resume(65535)

	id := out.Publish(mqtt.ExactlyOnce, "valve open")
	out.Pubrec(id, mqtt.Success)

	out.Resume(65535)
	again := out.Resend()
	fmt.Println(again.ID == id, again.Stage == flow.AwaitPubcomp)
	_, known := out.Pubcomp(id)
	fmt.Println(known, out.Len())
	// Output:
	// true true
	// true 0
}
