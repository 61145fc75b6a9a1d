package client_test

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
)

// deadlines remembers the last one, and does something before the first.
type deadlines struct {
	net.Conn
	before func()
	once   sync.Once

	mu   sync.Mutex
	last time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	if time.Until(t) > 10*time.Second {
		d.once.Do(d.before)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = t
	return d.Conn.SetWriteDeadline(t)
}

// A Close that comes as a write begins has its own, short deadline: it does
// not wait for a server that has stalled as long as the write would have.
func TestCloseAsAWriteBegins(t *testing.T) {
	w := newWorld(t, midge.Config{})
	var c *client.Conn
	closed := make(chan struct{})
	nc := &deadlines{before: func() {
		go func() {
			c.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(50 * time.Millisecond): // it waits for us, then
		}
	}}
	var err error
	c, err = client.Dial(ctx, "mqtt://midge", client.Options{Dial: func(ctx context.Context, u *url.URL) (net.Conn, error) {
		var err error
		nc.Conn, err = w.dial(ctx, u)
		return nc, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Publish(ctx, message("a", "", 0))
	<-closed
	<-c.Done()
	nc.mu.Lock()
	defer nc.mu.Unlock()
	if left := time.Until(nc.last); left > 10*time.Second {
		t.Errorf("the last word may take %v", left)
	}
}
