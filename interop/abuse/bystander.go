package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/bench"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// A bystander has nothing to do with the attack: it sends itself messages at
// QoS 1, and has newcomers log in.
type bystander struct {
	addr string
	c    *client.Conn
	came chan uint64
}

const (
	bystanderHome = "127.0.0.9"
	tripsASecond  = 200
	entersASecond = 5
)

func newBystander(ctx context.Context, addr string) (*bystander, error) {
	b := &bystander{addr: addr, came: make(chan uint64, 1<<16)}
	o := credentials("bystander")
	o.Handler = func(_ context.Context, m client.Message) {
		if len(m.Payload) == 8 {
			b.came <- binary.BigEndian.Uint64(m.Payload)
		}
	}
	o.MaxInflight = 65535 // who waits for room is not served in order
	var err error
	if b.c, err = dialFrom(ctx, bystanderHome, addr, o); err != nil {
		return nil, fmt.Errorf("bystander: %w", err)
	}
	if _, err := b.c.Subscribe(ctx, client.Subscription{Filter: "bystander/trip", QoS: mqtt.AtLeastOnce}); err != nil {
		b.close()
		return nil, fmt.Errorf("bystander: %w", err)
	}
	return b, nil
}

func (b *bystander) close() { b.c.Close() }

// credentials are those of a user of every run; its password is its name.
func credentials(user string) client.Options {
	return client.Options{Version: mqtt.V5, ClientID: user, Username: user, Password: []byte(user), CleanStart: true}
}

// dialFrom connects from one of the machine's own addresses.
func dialFrom(ctx context.Context, home, addr string, o client.Options) (*client.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(home)}}
	o.Dial = func(ctx context.Context, _ *url.URL) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	return client.Dial(ctx, "mqtt://"+addr, o)
}

// patience is how long a message may be on its way before it is lost.
const patience = 20 * time.Second

// watch sends messages for a while and waits for the last. Each counts from when
// it was due: one that is held up does not hide those behind it.
func (b *bystander) watch(ctx context.Context, span time.Duration) (w watch) {
	var trips, enters bench.Histogram
	var shut atomic.Uint64
	begin := time.Now()
	due := func(n uint64) time.Time { return begin.Add(time.Duration(n) * time.Second / tripsASecond) }
	stop := time.After(span)
	newcomers := make(chan struct{})
	over, cancel := context.WithTimeout(ctx, span)
	go func() {
		defer close(newcomers)
		b.newcomers(over, &enters, &shut)
	}()
	defer func() {
		cancel()
		<-newcomers
		w.Trips, w.Enters, w.Shut = trips.Latency(), enters.Latency(), shut.Load()
	}()
	pace := time.NewTicker(time.Second / tripsASecond)
	defer pace.Stop()
	var back uint64
	var late <-chan time.Time
	for late == nil || back < w.Sent {
		select {
		case n := <-b.came:
			trips.Record(time.Since(due(n)))
			back++
		case now := <-pace.C:
			for late == nil && !due(w.Sent).After(now) {
				go b.c.Publish(ctx, mqtt.Message{Topic: "bystander/trip", QoS: mqtt.AtLeastOnce, Payload: binary.BigEndian.AppendUint64(nil, w.Sent)})
				w.Sent++
			}
		case <-stop:
			late = time.After(patience)
		case <-late:
			w.Lost = w.Sent - back
			return w
		case <-ctx.Done():
			return w
		}
	}
	return w
}

// newcomers log in, one after the other, from an address of their own.
func (b *bystander) newcomers(ctx context.Context, took *bench.Histogram, shut *atomic.Uint64) {
	pace := time.NewTicker(time.Second / entersASecond)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		o := credentials("bystander")
		o.ClientID = fmt.Sprint("newcomer-", n)
		begin := time.Now()
		c, err := dialFrom(context.WithoutCancel(ctx), bystanderHome, b.addr, o)
		if err != nil {
			shut.Add(1)
			continue
		}
		took.Record(time.Since(begin))
		c.Close()
	}
}
