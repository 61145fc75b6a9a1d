//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A load is clients at work: sensors that say something now and then, gateways
// that say much, screens and an archive that listen, a kiosk whose program
// hangs, and somebody who is away.
type load struct {
	ctx  context.Context
	addr string
	work sync.WaitGroup
	all  []*client.Conn
	hung net.Conn
}

func newLoad(ctx context.Context, addr string) (*load, error) {
	l := &load{ctx: ctx, addr: addr}
	for i := range 3 {
		if err := l.listen(fmt.Sprintf("screen-%d", i+1), "office", "plant/#", mqtt.AtMostOnce); err != nil {
			return nil, err
		}
	}
	if err := l.listen("archive", "archive", "plant/#", mqtt.AtLeastOnce); err != nil {
		return nil, err
	}
	if err := l.away("night-shift"); err != nil {
		return nil, err
	}
	if err := l.hang("kiosk-3"); err != nil {
		return nil, err
	}
	for i := range 6 {
		if err := l.speak(fmt.Sprintf("gateway-%d", i+1), "line", fmt.Sprintf("plant/line/%d", i+1), 150+120*float64(i), 220); err != nil {
			return nil, err
		}
	}
	for i := range 60 {
		if err := l.speak(fmt.Sprintf("sensor-%02d", i+1), "sensor", fmt.Sprintf("plant/hall/%d", i+1), 0.5+float64(i%12), 24); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *load) dial(id, user string, o client.Options) (*client.Conn, error) {
	o.ClientID, o.Username = id, user
	c, err := client.Dial(l.ctx, "mqtt://"+l.addr, o)
	if err == nil {
		l.all = append(l.all, c)
	}
	return c, err
}

func (l *load) listen(id, user, filter string, q mqtt.QoS) error {
	c, err := l.dial(id, user, client.Options{})
	if err == nil {
		_, err = c.Subscribe(l.ctx, client.Subscription{Filter: filter, QoS: q, Handler: func(context.Context, client.Message) {}})
	}
	return err
}

// away has a session that gathers what it will want to know.
func (l *load) away(id string) error {
	c, err := client.Dial(l.ctx, "mqtt://"+l.addr, client.Options{ClientID: id, SessionExpiry: time.Hour})
	if err != nil {
		return err
	}
	if _, err = c.Subscribe(l.ctx, client.Subscription{Filter: "plant/hall/#", QoS: 1}); err != nil {
		return err
	}
	return c.Close()
}

// hang subscribes and never reads again.
func (l *load) hang(id string) (err error) {
	if l.hung, err = net.Dial("tcp", l.addr); err != nil {
		return err
	}
	connect := packet.Connect{Version: mqtt.V311, ClientID: []byte(id), CleanStart: true, HasUsername: true, Username: []byte("office"), KeepAlive: 0}
	subscribe := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("plant/line/#")})}
	_, err = l.hung.Write(subscribe.Append(connect.Append(nil), mqtt.V311))
	return err
}

// speak publishes, rate a second and sometimes more.
func (l *load) speak(id, user, topic string, rate float64, size int) error {
	c, err := l.dial(id, user, client.Options{})
	if err != nil {
		return err
	}
	l.work.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		begin, owed := time.Now(), 0.0
		for {
			select {
			case <-l.ctx.Done():
				return
			case <-tick.C:
			}
			wave := 1 + 0.6*math.Sin(time.Since(begin).Seconds()/3+rate)
			for owed += rate * wave / 20; owed >= 1; owed-- {
				q := mqtt.AtMostOnce
				if size < 100 {
					q = mqtt.AtLeastOnce
				}
				if _, err := c.Enqueue(l.ctx, mqtt.Message{Topic: topic, Payload: make([]byte, size), QoS: q}); err != nil {
					return // kicked
				}
			}
		}
	})
	return nil
}

func (l *load) close() {
	for _, c := range l.all {
		c.Close()
	}
	l.hung.Close()
	l.work.Wait()
}
