package admin_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/packet"
)

// serve has the handler on a real socket.
func (w *world) serve(ln net.Listener, token string) *admin.Client {
	w.t.Helper()
	s := &http.Server{Handler: w.h}
	go s.Serve(ln)
	w.t.Cleanup(func() { s.Close() })
	where := "http://" + ln.Addr().String()
	if ln.Addr().Network() == "unix" {
		where = "unix://" + ln.Addr().String()
	}
	c, err := admin.Open(where, token, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

func TestClient(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			w := newWorld(t, midge.Config{})
			nc := w.connect("../x y", "u", "t")
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "admin.sock")
			}
			ln, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			c := w.serve(ln, "")
			ctx := t.Context()
			if s, err := c.Stats(ctx); err != nil || s.Broker.Clients != 1 || !s.Ready || s.Process.Goroutines == 0 {
				t.Errorf("%+v %v", s, err)
			}
			l, err := c.Sessions(ctx, admin.Query{State: "all", Find: "x y", Sort: "bytes", Limit: 5})
			if err != nil || l.Found != 1 || l.Sessions[0].Client != "../x y" || l.Sessions[0].Rates == nil {
				t.Errorf("%+v %v", l, err)
			}
			if l, err := c.Slow(ctx, 10); err != nil || len(l.Sessions) != 0 {
				t.Errorf("%+v %v", l, err)
			}
			if s, err := c.Session(ctx, "../x y"); err != nil || s.User != "u" {
				t.Errorf("%+v %v", s, err)
			}
			if err := c.Kick(ctx, "../x y"); err != nil {
				t.Error(err)
			}
			expect(t, nc, packet.DISCONNECT)
			var refused *admin.Error
			if err := c.Kick(ctx, "nobody"); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
				t.Errorf("%v", err)
			}
			if _, err := c.Sessions(ctx, admin.Query{Sort: "name"}); !errors.As(err, &refused) || !strings.Contains(refused.Instruction, "messages-in") {
				t.Errorf("%v", err)
			}
			w.h.SetToken("a token of some length")
			if _, err := c.Stats(ctx); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestClientOfSomebodyElse(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/stats" {
			w.Write([]byte("<html>"))
			return
		}
		http.NotFound(w, r)
	}))
	defer s.Close()
	c, err := admin.Open(s.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Stats(t.Context()); err == nil || !strings.Contains(err.Error(), "none of midge's") {
		t.Error(err)
	}
	if _, err := c.Session(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "is that the admin address") {
		t.Error(err)
	}
	for _, where := range []string{"ftp://x", "http://", "127.0.0.1:1", "://"} {
		if _, err := admin.Open(where, "", nil); err == nil {
			t.Errorf("%s is opened", where)
		}
	}
}
