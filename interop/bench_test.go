package interop

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	paho5 "github.com/eclipse/paho.golang/paho"
	paho3 "github.com/eclipse/paho.mqtt.golang"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// benchBroker is midge in a process of its own, so that allocations counted
// here are the client's.
func benchBroker(b *testing.B) string {
	b.Helper()
	addr := freeAddress(b)
	cmd := exec.Command(binary, "--tcp", addr)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	reachable(b, addr)
	return addr
}

// A rival publishes one message and returns when it is acknowledged; receive
// subscribes and calls f for each message.
type rival struct {
	name    string
	publish func(topic string, q byte, payload []byte) error
	receive func(topic string, f func()) error
}

func rivals(b *testing.B, addr string) []rival {
	ctx := context.Background()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	c, err := client.New(client.Config{Servers: []string{"mqtt://" + addr}})
	must(err)
	must(c.Connect(ctx))
	b.Cleanup(func() { c.Close(); <-c.Done() })

	p3 := paho3.NewClient(paho3.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("p3"))
	t := p3.Connect()
	t.Wait()
	must(t.Error())
	b.Cleanup(func() { p3.Disconnect(0) })

	nc, err := net.Dial("tcp", addr)
	must(err)
	var on5 func()
	p5 := paho5.NewClient(paho5.ClientConfig{Conn: nc, OnPublishReceived: []func(paho5.PublishReceived) (bool, error){
		func(paho5.PublishReceived) (bool, error) { on5(); return true, nil },
	}})
	_, err = p5.Connect(ctx, &paho5.Connect{ClientID: "p5", KeepAlive: 60, CleanStart: true})
	must(err)
	b.Cleanup(func() { p5.Disconnect(&paho5.Disconnect{}) })

	return []rival{
		{"midge", func(topic string, q byte, payload []byte) error {
			_, err := c.Publish(ctx, mqtt.Message{Topic: topic, Payload: payload, QoS: mqtt.QoS(q)})
			return err
		}, func(topic string, f func()) error {
			_, err := c.Subscribe(ctx, client.Subscription{Filter: topic, Handler: func(context.Context, client.Message) { f() }})
			return err
		}},
		{"paho.mqtt.golang", func(topic string, q byte, payload []byte) error {
			t := p3.Publish(topic, q, false, payload)
			t.Wait()
			return t.Error()
		}, func(topic string, f func()) error {
			t := p3.Subscribe(topic, 0, func(paho3.Client, paho3.Message) { f() })
			t.Wait()
			return t.Error()
		}},
		{"paho.golang", func(topic string, q byte, payload []byte) error {
			_, err := p5.Publish(ctx, &paho5.Publish{Topic: topic, QoS: q, Payload: payload})
			return err
		}, func(topic string, f func()) error {
			on5 = f
			_, err := p5.Subscribe(ctx, &paho5.Subscribe{Subscriptions: []paho5.SubscribeOptions{{Topic: topic}}})
			return err
		}},
	}
}

func BenchmarkClients(b *testing.B) {
	addr := benchBroker(b)
	payload := make([]byte, 64)
	for _, r := range rivals(b, addr) {
		for q := range byte(3) {
			b.Run(fmt.Sprintf("publish QoS %d/%s", q, r.name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := r.publish("bench/nobody", q, payload); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
		b.Run("receive QoS 0/"+r.name, func(b *testing.B) { receiveBench(b, addr, r) })
	}
}

// receiveBench has a client of ours send at QoS 0, with a pause whenever the
// receiver is far behind: nothing is dropped on the way.
func receiveBench(b *testing.B, addr string, r rival) {
	c, err := client.New(client.Config{Servers: []string{"mqtt://" + addr}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { c.Close(); <-c.Done() }()
	ctx := context.Background()
	if err := c.Connect(ctx); err != nil {
		b.Fatal(err)
	}
	topic := fmt.Sprintf("bench/%s/%d", r.name, b.N)
	got := make(chan struct{}, 1<<20)
	if err := r.receive(topic, func() { got <- struct{}{} }); err != nil {
		b.Fatal(err)
	}
	m := mqtt.Message{Topic: topic, Payload: make([]byte, 64)}
	b.ReportAllocs()
	b.ResetTimer()
	behind := 0
	for range b.N {
		if _, err := c.Publish(ctx, m); err != nil {
			b.Fatal(err)
		}
		for behind++; behind > 5000; behind-- {
			<-got
		}
	}
	for ; behind > 0; behind-- {
		select {
		case <-got:
		case <-time.After(patience):
			b.Fatalf("%d messages are missing", behind)
		}
	}
}
