package disk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store/disk"
	"github.com/midgemq/midge/transport"
)

// A rig is a broker on a disk that can be made to fail, and clients.
type rig struct {
	t    *testing.T
	ln   *transport.PipeListener
	disk *disk.Failing

	mu  sync.Mutex
	got []string // what the reader has, guarded by mu
}

func newRig(t *testing.T, dir string) (r *rig, end func()) {
	quiet := slog.New(slog.DiscardHandler)
	st, failing, err := disk.OpenFailing(dir, disk.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}, Logger: quiet, Store: st, SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	r = &rig{t: t, ln: transport.ListenPipe("rig", 0), disk: failing}
	if err := b.Serve(r.ln); err != nil {
		t.Fatal(err)
	}
	return r, func() {
		if err := errors.Join(b.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	}
}

// connect returns a client, or what kept it out.
func (r *rig) connect(id string, v mqtt.Version, lasts bool) (*client.Client, error) {
	o := client.Options{ClientID: id, Version: v, SessionExpiry: -1}
	if lasts {
		o.SessionExpiry = time.Hour
	}
	o.Handler = func(_ context.Context, m client.Message) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, string(m.Payload))
	}
	o.Dial = func(ctx context.Context, _ *url.URL) (net.Conn, error) { return r.ln.Dial(ctx) }
	retry := func(err error, _ time.Duration) (time.Duration, error) {
		if no := (*client.ConnectError)(nil); errors.As(err, &no) {
			return 0, err
		}
		return time.Second, nil
	}
	c, err := client.New(client.Config{Options: o, Retry: retry, Servers: []string{"mqtt://rig"}})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer stop()
	return c, c.Connect(ctx)
}

func (r *rig) must(id string, v mqtt.Version, lasts bool) *client.Client {
	r.t.Helper()
	c, err := r.connect(id, v, lasts)
	if err != nil {
		r.t.Fatalf("%s: %v", id, err)
	}
	return c
}

func (r *rig) want(all ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if fmt.Sprint(r.got) != fmt.Sprint(all) {
		r.t.Errorf("the reader has %q, want %q", r.got, all)
	}
}

// leave gives a client a while to say what it has to say.
func leave(c *client.Client) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	c.Shutdown(ctx)
}

func publish(c *client.Client, payload string, q mqtt.QoS, retain bool) error {
	ctx, stop := context.WithTimeout(context.Background(), time.Hour)
	defer stop()
	_, err := c.Publish(ctx, mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: q, Retain: retain})
	return err
}

// A disk that takes nothing: 5.0 publishers are told, older ones get no
// acknowledgement, whoever needs no disk is served, and all goes on when the
// disk does. What was acknowledged is there after a restart, what was refused
// is not.
func TestBrokerOnFailingDisk(t *testing.T) {
	for _, why := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		t.Run(why.Error(), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { failingDisk(t, dir, why) })
			synctest.Test(t, func(t *testing.T) {
				r, end := newRig(t, dir)
				defer end()
				defer leave(r.must("absent", mqtt.V5, true))
				r.want("before", "withheld", "old", "after")
			})
		})
	}
}

func failingDisk(t *testing.T, dir string, why error) {
	r, end := newRig(t, dir)
	defer end()
	for _, id := range []string{"reader", "absent"} {
		c := r.must(id, mqtt.V5, true)
		if _, err := c.Subscribe(t.Context(), client.Subscription{Filter: "t", QoS: mqtt.ExactlyOnce}); err != nil {
			t.Fatal(err)
		}
		if id == "absent" {
			leave(c)
		} else {
			defer leave(c)
		}
	}
	first, p, old := r.must("first", mqtt.V5, false), r.must("p", mqtt.V5, false), r.must("old", mqtt.V311, false)
	defer leave(first)
	defer leave(p)
	defer leave(old)
	if err := publish(p, "before", 1, false); err != nil {
		t.Fatal(err)
	}

	r.disk.Set(why, 0)
	withheld := make(chan error, 1)
	go func() { withheld <- publish(first, "withheld", 1, false) }() // nobody knew of the disk
	<-time.After(time.Minute)
	for _, q := range []mqtt.QoS{1, 2} {
		var no *client.ReasonError
		if err := publish(p, "refused", q, q == 1); !errors.As(err, &no) || no.Code != mqtt.QuotaExceeded {
			t.Errorf("QoS %d: %v", q, err)
		}
	}
	kept := make(chan error, 1)
	go func() { kept <- publish(old, "old", 2, false) }()
	if err := publish(p, "live", 0, false); err != nil {
		t.Error(err)
	}
	var no *client.ConnectError
	c, err := r.connect("lasting", mqtt.V5, true)
	if !errors.As(err, &no) || no.Code != mqtt.ServerUnavailable {
		t.Errorf("a session that cannot be kept: %v", err)
	}
	c.Close()
	leave(r.must("passing", mqtt.V5, false))
	select {
	case err := <-kept:
		t.Errorf("3.1.1: acknowledged, %v", err)
	case err := <-withheld:
		t.Errorf("withheld: acknowledged, %v", err)
	case <-time.After(time.Minute):
	}
	r.want("before", "withheld", "live")

	r.disk.Set(nil, 0)
	if err := errors.Join(<-withheld, <-kept, publish(p, "after", 2, false)); err != nil {
		t.Errorf("the disk works again: %v", err)
	}
	r.want("before", "withheld", "live", "old", "after")
}

// A slow disk delays what waits for it, by one write and sync, and nothing
// else; many acknowledgements share a sync.
func TestBrokerOnSlowDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r, end := newRig(t, dir)
		defer end()
		c := r.must("reader", mqtt.V5, true)
		defer leave(c)
		if _, err := c.Subscribe(t.Context(), client.Subscription{Filter: "t", QoS: mqtt.AtLeastOnce}); err != nil {
			t.Fatal(err)
		}
		var all []*client.Client
		for i := range 20 {
			p := r.must(fmt.Sprint("p", i), mqtt.V5, false)
			defer leave(p)
			all = append(all, p)
		}
		const op = 10 * time.Second
		r.disk.Set(nil, op)
		start := time.Now()
		var work sync.WaitGroup
		for i, p := range all {
			work.Go(func() {
				if err := publish(p, fmt.Sprint(i), 1, false); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := publish(all[0], "live", 0, false); err != nil || time.Since(start) > 0 {
			t.Errorf("QoS 0: %v after %v", err, time.Since(start))
		}
		leave(r.must("passing", mqtt.V5, false))
		if d := time.Since(start); d > 0 {
			t.Errorf("a session that needs no disk waited for %v", d)
		}
		work.Wait()
		if d := time.Since(start); d > 4*op { // the batch under way, and the one behind it
			t.Errorf("20 acknowledgements took %v", d)
		}
		r.disk.Set(nil, 0)
	})
}
