package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// A Target is the broker under load, and how to speak to it.
type Target struct {
	URL string // see package transport: tcp://127.0.0.1:1883, tls, ws, wss, unix

	// Dial, when set, takes the place of URL: a pipe to a broker in the same
	// process. n is which of the workload's connections it is for.
	Dial func(ctx context.Context, n int) (transport.Conn, error)

	Version            mqtt.Version // 0: 3.1.1
	Username, Password string       // neither is sent when both are empty
	TLS                *tls.Config  // for tls and wss; nil: the system's roots

	// Sources is how many addresses 127.0.x.y connections come from, [1, 60000];
	// 0: the system's choice. One address has some 28,000 ports.
	Sources int

	// PID is the broker's process on this machine, whose processor time and
	// memory are then reported; 0: unknown.
	PID int

	// Timeout bounds each handshake and each wait for an answer; 0: 30 s.
	Timeout time.Duration

	// Progress hears, some ten times a second and from one goroutine, how far
	// the workload is; nil: nobody does.
	Progress func(Progress)
}

// A Progress is where a workload stands.
type Progress struct {
	Phase string        // "connect", "warm up", "measure", ...
	Done  int           // of Total
	Total int           // 0: nobody knows
	Unit  string        // of Done
	Rate  float64       // Done per second, lately
	Left  time.Duration // of a phase that ends by time
}

func (t *Target) progress(p Progress) {
	if t.Progress != nil {
		t.Progress(p)
	}
}

func (t *Target) version() mqtt.Version {
	if t.Version == 0 {
		return mqtt.V311
	}
	return t.Version
}

func (t *Target) timeout() time.Duration {
	if t.Timeout <= 0 {
		return 30 * time.Second
	}
	return t.Timeout
}

func (t *Target) check() error {
	switch {
	case t.URL == "" && t.Dial == nil:
		return errors.New("bench: neither URL nor Dial says where the broker is")
	case !t.version().Known():
		return fmt.Errorf("bench: there is no MQTT version %d", t.Version)
	case t.Sources < 0 || t.Sources > 60000:
		return fmt.Errorf("bench: Sources is %d, want [0, 60000]", t.Sources)
	}
	return nil
}

// dial opens the n-th connection.
func (t *Target) dial(ctx context.Context, n int) (transport.Conn, error) {
	if t.Dial != nil {
		return t.Dial(ctx, n)
	}
	opts := transport.DialOptions{TLS: t.TLS}
	if t.Sources > 0 && !strings.HasPrefix(t.URL, "unix") {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: source(n % t.Sources)}, Control: chooseLate}
		opts.NetDial = d.DialContext
	}
	return transport.Dial(ctx, t.URL, opts)
}

// source is the n-th address of this machine's own network: 127.0.0.1 first.
func source(n int) net.IP { return net.IPv4(127, 0, byte(n/250), byte(n%250+1)) }

// loopback reports whether the broker is on this machine by an IPv4 address of
// it, so that Sources can be used.
func (t *Target) loopback() bool {
	u, err := url.Parse(t.URL)
	return err == nil && strings.HasPrefix(u.Hostname(), "127.")
}

// newRun names a run, so that runs do not hear each other.
func newRun() string { return fmt.Sprintf("%06x", rand.IntN(1<<24)) }

// each calls fn for 0 to n-1 from several goroutines at a time and returns the
// first error, after which no more are begun. It tells progress ten times a
// second.
func (t *Target) each(ctx context.Context, phase, unit string, n, workers int, fn func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := fn(ctx, i); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); ; {
		select {
		case <-finished:
			return context.Cause(ctx)
		case <-tick.C:
			k := int(done.Load())
			t.progress(Progress{Phase: phase, Done: k, Total: n, Unit: unit, Rate: float64(k) / time.Since(start).Seconds()})
		}
	}
}

// explain adds to an error what its reader can do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w (raise the limit of open files: ulimit -n)", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w (no ports left: use more source addresses)", err)
	}
	return err
}
