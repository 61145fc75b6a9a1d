package transport_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/midgemq/midge/transport"
)

// A server accepts, and finishes each handshake in the connection's own
// goroutine, under a deadline.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	l, err := transport.Listen(ctx, "ws://127.0.0.1:0/mqtt", transport.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the listener is closed
			}
			go func() {
				defer c.Close()
				if err := c.Handshake(ctx); err != nil {
					return
				}
				fmt.Fprintf(c, "hello over %s", c.Kind())
			}()
		}
	}()

	c, err := transport.Dial(ctx, l.String(), transport.DialOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	fmt.Println(string(text), err)
	// Output: hello over ws <nil>
}

// The pipe listener needs no network and works in a testing/synctest bubble.
func ExampleListenPipe() {
	l := transport.ListenPipe("test", 0)
	defer l.Close()
	client, err := l.Dial(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(client, "buffered")
	client.Close()
	text, err := io.ReadAll(server)
	server.Close()
	fmt.Printf("%s from %s, %v\n", text, server.RemoteAddr(), err)
	// Output: buffered from test/1, <nil>
}
