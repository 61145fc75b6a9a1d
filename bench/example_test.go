package bench_test

import (
	"context"
	"fmt"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/bench"
	"github.com/midgemq/midge/transport"
)

// Three publishers send 1,000 messages each to three subscribers, through a
// broker in the same process.
func Example() {
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	ln := transport.ListenPipe("example", 0)
	b.Serve(ln)

	load := bench.Load{Shape: bench.Pairs, Clients: 3, QoS: 1, Messages: 1000}
	load.Dial = func(ctx context.Context, _ int) (transport.Conn, error) { return ln.Dial(ctx) }
	report, err := load.Run(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	n, _ := report.Figure("messages")
	fmt.Println(n, "arrived;", report.Faults.Lost, "lost")
	// Output: 3000 arrived; 0 lost
}
