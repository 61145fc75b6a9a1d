package sim

import (
	"context"
	"errors"
	"net"
	"net/url"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// A program is somebody who uses the project's client.
type program struct {
	w     *World
	name  string
	view  *view
	hello Hello
	store *client.MemoryStore
	skew  time.Duration // keeps programs from doing things at one instant
	c     *client.Client
}

var errNobody = errors.New("connection refused")

func (p *program) dial(context.Context, *url.URL) (net.Conn, error) {
	x := p.w.dial(p.view, p.hello.Wire)
	if x == nil {
		return nil, errNobody
	}
	return &end{k: x.k, in: &x.k.down, out: &x.k.up}, nil
}

// start begins the program, on what the one before left behind.
func (p *program) start() {
	expiry := time.Duration(p.hello.Expiry) * time.Second
	c, err := client.New(client.Config{
		Options: client.Options{
			Version: p.hello.Version, ClientID: p.name, SessionExpiry: expiry,
			KeepAlive: time.Duration(p.hello.KeepAlive) * time.Second, ReceiveMaximum: int(p.hello.ReceiveMax),
			Handler: p.handle, Dial: p.dial, ConnectTimeout: 10 * time.Second,
		},
		Store: p.store, Lost: client.FailLost,
		Backoff: client.Backoff{Min: time.Second + p.skew, Max: 20 * time.Second, Jitter: -1},
		Retry:   func(_ error, pause time.Duration) (time.Duration, error) { return min(pause, time.Minute), nil },
	})
	if err != nil {
		panic(err)
	}
	p.c = c
	c.Start()
}

func (p *program) stop() {
	p.c.Close()
	<-p.c.Done()
}

func (p *program) handle(_ context.Context, msg client.Message) {
	m := p.view.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if x := m.messages[string(msg.Payload)]; x != nil && len(msg.Payload) > 0 {
		p.view.handled[x]++
	}
}

func (p *program) publish(topic, payload string, q mqtt.QoS, retain bool, expiry uint32) {
	msg := mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: q, Retain: retain}
	if p.hello.Version == mqtt.V5 && expiry > 0 {
		msg.HasExpiry, msg.MessageExpiry = true, expiry
	}
	p.c.Enqueue(context.Background(), msg)
}

func (p *program) subscribe(all []Filter) {
	subs := make([]client.Subscription, 0, len(all))
	for _, f := range all {
		subs = append(subs, client.Subscription{
			Filter: f.Filter, QoS: f.QoS, NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished,
			RetainHandling: client.RetainHandling(f.RetainHandling),
		})
	}
	go p.c.Subscribe(context.Background(), subs...)
}

func (p *program) unsubscribe(filter string) {
	go p.c.Unsubscribe(context.Background(), filter)
}
