package conform_test

import (
	"context"
	"fmt"
	"net"

	"github.com/midgemq/midge/conform"
)

// Any stream will do: here one that hangs up at once, which is no broker.
func ExampleRun() {
	target := conform.Target{
		Name: "nobody",
		Dial: func(context.Context) (net.Conn, error) {
			mine, theirs := net.Pipe()
			theirs.Close()
			return mine, nil
		},
	}
	filter, err := conform.Match("^connect/accepted")
	if err != nil {
		fmt.Println(err)
		return
	}
	rep := conform.Run(context.Background(), target, filter, func(r conform.Result) {
		fmt.Println(r.Outcome, r.Case)
	})
	fmt.Println(rep.Count(conform.Pass), "passed,", rep.Count(conform.Fail), "failed")
	// Output:
	// FAIL connect/accepted 3.1
	// FAIL connect/accepted 3.1.1
	// FAIL connect/accepted 5.0
	// 0 passed, 3 failed
}
