package midge_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/transport"
)

// A failing listener accepts nothing, for a reason of its own.
type failing struct{ *transport.PipeListener }

func (failing) Accept() (transport.Conn, error) { return nil, errors.New("the network is gone") }

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		if err := w.b.Ready(); err != nil {
			t.Error(err)
		}
		ln := failing{transport.ListenPipe("failing", 0)}
		if err := w.b.Serve(ln); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := w.b.Ready(); err == nil || !strings.Contains(err.Error(), ln.String()) {
			t.Errorf("with a listener that has failed: %v", err)
		}
		w.b.Close()
		if err := w.b.Ready(); !errors.Is(err, midge.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}
