package mqtt_test

import (
	"fmt"

	"github.com/midgemq/midge/mqtt"
)

// A reason code is a value of the wire; what an older client is told of it is
// another.
func ExampleReasonCode() {
	c := mqtt.BadUserNameOrPassword
	fmt.Printf("0x%02X %v, failed: %v, before 5.0: %d\n", byte(c), c, c.Failed(), c.ReturnCode())
	// Output: 0x86 bad user name or password, failed: true, before 5.0: 4
}
