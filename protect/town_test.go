package protect

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A town is a broker in memory behind a shield. Its clients come from wherever
// they say.
type town struct {
	t   testing.TB
	s   *Shield
	b   *midge.Broker
	ln  gate
	log *book

	port   int    // of who came last
	during func() // while somebody is authenticated
}

// A gate gives each connection the address it was dialled from.
type gate struct {
	*transport.PipeListener
	from chan net.Addr
}

type comer struct {
	transport.Conn
	from net.Addr
}

func (c comer) RemoteAddr() net.Addr { return c.from }

func (g gate) Accept() (transport.Conn, error) {
	c, err := g.PipeListener.Accept()
	if err != nil {
		return nil, err
	}
	return comer{c, <-g.from}, nil
}

// A book is a log to be read.
type book struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *book) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.b.String(), text)
}

// newTown has one user, alice, whose password is p, and many whose password is
// their name.
func newTown(t testing.TB, c Config) *town {
	t.Helper()
	w := &town{t: t, ln: gate{transport.ListenPipe("town", 0), make(chan net.Addr, 1)}, log: new(book)}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	if c.Logger == nil {
		c.Logger = log
	}
	var err error
	if w.s, err = New(c); err != nil {
		t.Fatal(err)
	}
	cfg := midge.Config{Listeners: []midge.Listener{}, SysInterval: -1, Logger: log, Hooks: midge.Hooks{
		Authenticate: func(_ context.Context, c *midge.Connect) error {
			if w.during != nil {
				w.during()
			}
			if c.Username == "slow" {
				return &midge.Refusal{Code: mqtt.ServerBusy}
			}
			if c.Username != "" && string(c.Password) != c.Username {
				return &midge.Refusal{Code: mqtt.BadUserNameOrPassword}
			}
			return nil
		},
	}}
	w.s.Install(&cfg.Hooks)
	if w.b, err = midge.New(cfg); err != nil {
		t.Fatal(err)
	}
	w.s.Protect(w.b)
	t.Cleanup(func() { w.b.Close() })
	if err := w.b.Serve(w.ln); err != nil {
		t.Fatal(err)
	}
	return w
}

// open is a connection that says nothing.
func (w *town) open(from string) net.Conn {
	w.t.Helper()
	w.port++
	w.ln.from <- &net.TCPAddr{IP: net.ParseIP(from), Port: w.port}
	nc, err := w.ln.Dial(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	return nc
}

// come connects a client; the error is what it was told.
func (w *town) come(from string, o client.Options) (*client.Conn, error) {
	w.t.Helper()
	o.Dial = func(context.Context, *url.URL) (net.Conn, error) { return w.open(from), nil }
	if o.Version == 0 {
		o.Version = mqtt.V5
	}
	c, err := client.Dial(context.Background(), "mqtt://town", o)
	if err == nil {
		w.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// in is come of one that has to be let in.
func (w *town) in(from, id string) *client.Conn {
	w.t.Helper()
	c, err := w.come(from, client.Options{ClientID: id})
	if err != nil {
		w.t.Fatalf("%s from %s: %v", id, from, err)
	}
	return c
}

// refused fails unless a client is told code, with text in its reason.
func (w *town) refused(from string, o client.Options, code mqtt.ReasonCode, text string) {
	w.t.Helper()
	_, err := w.come(from, o)
	var r *client.ConnectError
	if !errors.As(err, &r) || r.Code != code || !strings.Contains(r.Reason, text) {
		w.t.Fatalf("%s from %s: %v; want %v with %q", o.ClientID, from, err, code, text)
	}
}

// shut fails unless a connection is closed without a word.
func (w *town) shut(from string) {
	w.t.Helper()
	if n, err := w.open(from).Read(make([]byte, 1)); n != 0 || err == nil {
		w.t.Fatalf("from %s: read %d bytes, %v; want a closed connection", from, n, err)
	}
}

func bad(user string) client.Options {
	return client.Options{ClientID: "c", Username: user, Password: []byte("wrong")}
}
