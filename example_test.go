package midge_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store/disk"
	"github.com/midgemq/midge/transport"
)

// The whole broker in one call, in the goroutine that makes it.
func ExampleRun() {
	ctx, stop := context.WithCancel(context.Background())
	stop() // a program would wait for a signal
	err := midge.Run(ctx, midge.Config{
		Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	fmt.Println(err)
	// Output: <nil>
}

// The program that embeds the broker publishes and subscribes without a
// connection of its own.
func ExampleBroker_Subscribe() {
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	heard := make(chan struct{})
	stop, err := b.Subscribe("sensors/+/temperature", mqtt.AtLeastOnce, func(m mqtt.Message) {
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
		close(heard)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	b.Publish(mqtt.Message{Topic: "sensors/attic/temperature", Payload: []byte("21.5"), QoS: mqtt.AtLeastOnce})
	<-heard
	// Output: sensors/attic/temperature: 21.5
}

// Hooks decide who comes in and what may be published.
func ExampleHooks() {
	hooks := midge.Hooks{
		Authenticate: func(_ context.Context, c *midge.Connect) error {
			if c.Username == "sensor" && string(c.Password) == "secret" {
				return nil
			}
			return &midge.Refusal{Code: mqtt.BadUserNameOrPassword}
		},
		Publish: func(_ context.Context, c midge.ClientInfo, m *mqtt.Message) error {
			if len(m.Payload) > 1000 {
				return &midge.Refusal{Code: mqtt.QuotaExceeded, Reason: "1000 bytes are enough"}
			}
			return nil
		},
	}
	err := hooks.Authenticate(context.Background(), &midge.Connect{Username: "guest"})
	fmt.Println(err)
	// Output: bad user name or password
}

// Several listeners at once, one of them in memory for clients in the same
// program.
func ExampleBroker_Serve() {
	b, err := midge.New(midge.Config{
		Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}, {URL: "ws://127.0.0.1:0/mqtt"}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	inside := transport.ListenPipe("inside", 0)
	b.Serve(inside)
	fmt.Println(len(b.Addrs()), "listeners")
	// Output: 3 listeners
}

// What the broker acknowledges is on the disk. It is there when the next
// broker starts, and when that is after a power cut.
func ExampleConfig_store() {
	dir, _ := os.MkdirTemp("", "midge")
	defer os.RemoveAll(dir)
	quiet := slog.New(slog.DiscardHandler)
	run := func(use func(*midge.Broker)) {
		st, err := disk.Open(dir, disk.Options{Logger: quiet}) // Durability is Always
		if err != nil {
			fmt.Println(err)
			return
		}
		defer st.Close() // after the broker
		b, err := midge.New(midge.Config{Listeners: []midge.Listener{}, Logger: quiet, Store: st})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer b.Close()
		use(b)
	}

	run(func(b *midge.Broker) {
		err := b.Publish(mqtt.Message{Topic: "attic", Payload: []byte("21.5"), QoS: mqtt.AtLeastOnce, Retain: true})
		fmt.Println("stored:", err == nil)
	})
	run(func(b *midge.Broker) {
		heard := make(chan string)
		b.Subscribe("attic", mqtt.AtLeastOnce, func(m mqtt.Message) { heard <- string(m.Payload) })
		fmt.Println("the next broker has", <-heard)
	})
	// Output:
	// stored: true
	// the next broker has 21.5
}
