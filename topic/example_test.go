package topic_test

import (
	"fmt"

	"github.com/midgemq/midge/topic"
)

func ExampleMatch() {
	fmt.Println(topic.Match("sensors/+/temperature", "sensors/attic/temperature"))
	fmt.Println(topic.Match("#", "$SYS/broker/uptime"))
	fmt.Println(topic.CheckFilter("sensors/#/temperature"))
	// Output:
	// true
	// false
	// # is not alone in the last level
}
