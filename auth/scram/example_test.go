package scram_test

import (
	"context"
	"fmt"

	"github.com/midgemq/midge/auth/scram"
)

// Both ends of an exchange. Over a network, client is the Auth of a
// client.Options, and the server is what auth.Scram runs.
func Example() {
	kept, err := scram.Derive("pencil", []byte("sixteen bytes ok"), scram.MinIterations)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := scram.NewServer(func(user string) *scram.Verifier { return kept }, []byte("a key of the server's"))
	client := scram.NewClient("user", "pencil")

	ctx := context.Background()
	first, _ := client.Start(ctx)
	challenge, _, _ := server.Step(first)
	proof, _ := client.Continue(ctx, challenge)
	consent, done, _ := server.Step(proof)
	fmt.Println(server.User(), done, client.Finish(ctx, consent))
	// Output: user true <nil>
}
