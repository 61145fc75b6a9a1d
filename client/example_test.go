package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// exampleBroker is a broker in memory; a program would name its server in
// Config.Servers.
func exampleBroker() (dial func(context.Context, *url.URL) (net.Conn, error), stop func()) {
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	ln := transport.ListenPipe("example", 0)
	b.Serve(ln)
	return func(ctx context.Context, _ *url.URL) (net.Conn, error) { return ln.Dial(ctx) }, func() { b.Close() }
}

// A client that stays connected, with a handler of its own for each filter.
func ExampleClient() {
	dial, stop := exampleBroker()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Config{
		Servers: []string{"mqtt://broker.example"},
		Options: client.Options{Dial: dial}, // for this example alone
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { c.Close(); <-c.Done() }()
	if err := c.Connect(ctx); err != nil {
		fmt.Println(err)
		return
	}
	heard := make(chan struct{})
	c.Subscribe(ctx, client.Subscription{Filter: "sensors/#", QoS: mqtt.AtLeastOnce, Handler: func(_ context.Context, m client.Message) {
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
		close(heard)
	}})
	c.Publish(ctx, mqtt.Message{Topic: "sensors/attic", Payload: []byte("21.5"), QoS: mqtt.AtLeastOnce})
	<-heard
	// Output: sensors/attic: 21.5
}

// Messages taken in without a connection wait for one.
func ExampleClient_Enqueue() {
	dial, stop := exampleBroker()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Config{Options: client.Options{Dial: dial}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { c.Close(); <-c.Done() }()
	m := mqtt.Message{Topic: "log", Payload: []byte("started"), QoS: mqtt.AtLeastOnce}
	m.HasExpiry, m.MessageExpiry = true, 3600 // seconds
	pending, err := c.Enqueue(ctx, m)
	if err != nil {
		fmt.Println(err)
		return
	}
	for q := range c.Outbox() {
		fmt.Printf("%s, %v\n", q.Message.Topic, q.Stage)
	}
	c.Start()
	_, err = pending.Wait(ctx)
	fmt.Println(err)
	// Output:
	// log, waiting
	// <nil>
}

// A service and a request to it.
func ExampleClient_Request() {
	dial, stop := exampleBroker()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Config{Options: client.Options{Dial: dial}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { c.Close(); <-c.Done() }()
	c.Start()
	c.Respond(ctx, "double", mqtt.AtLeastOnce, func(_ context.Context, m client.Message) (mqtt.Message, error) {
		return mqtt.Message{Payload: append(m.Payload, m.Payload...)}, nil
	})
	answer, err := c.Request(ctx, mqtt.Message{Topic: "double", Payload: []byte("ha"), QoS: mqtt.AtLeastOnce})
	fmt.Println(string(answer.Payload), err)
	// Output: haha <nil>
}

// One connection, and what the server says of itself.
func ExampleDial() {
	dial, stop := exampleBroker()
	defer stop()
	c, err := client.Dial(context.Background(), "mqtts://broker.example", client.Options{Dial: dial, Version: mqtt.V5})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Info().Version, c.Info().Limits.MaxQoS)
	c.Close()
	<-c.Done()
	fmt.Println(c.Err())
	// Output:
	// 5.0 2
	// client: closed
}

// TLS with pre-shared keys, which crypto/tls has not, or any other transport:
// Options.Dial returns a connection that is ready for CONNECT.
func ExampleOptions_dial() {
	dialPSK := func(ctx context.Context, server *url.URL) (net.Conn, error) {
		raw, err := new(net.Dialer).DialContext(ctx, "tcp", server.Host)
		if err != nil {
			return nil, err
		}
		return raw, nil // psk.Client(raw, identity, key), of the TLS stack of your choice
	}
	c, err := client.New(client.Config{
		Servers: []string{"psk://broker.example:8883"},
		Options: client.Options{Dial: dialPSK},
	})
	fmt.Println(err)
	c.Close()
	<-c.Done()
	// Output: <nil>
}
