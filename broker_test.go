package midge_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// Close does not wait for ever for hooks that wait for their context: those
// about wills are part of what it waits for.
func TestCloseEndsWillHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Publish: func(ctx context.Context, _ midge.ClientInfo, _ *mqtt.Message) error {
				<-ctx.Done()
				return ctx.Err()
			},
		}})
		for _, id := range []string{"a", "b", "c"} {
			w.connect(id, withWill("will"))
		}
		start := time.Now()
		w.b.Close()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

// A listener may ask the broker something while it is closed.
type curious struct {
	*transport.PipeListener
	b *midge.Broker
}

func (l *curious) Close() error {
	l.b.Clients()
	return l.PipeListener.Close()
}

func TestCloseHoldsNoLockOverListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		if err := w.b.Serve(&curious{transport.ListenPipe("curious", 0), w.b}); err != nil {
			t.Fatal(err)
		}
		if err := w.b.Close(); err != nil {
			t.Error(err)
		}
	})
}
