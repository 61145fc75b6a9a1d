package admin_test

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/protect"
)

// shielded is a world with bans, over a socket.
func shielded(t *testing.T) (*world, *admin.Client) {
	t.Helper()
	s, err := protect.New(protect.Config{Logger: slog.New(slog.DiscardHandler), File: filepath.Join(t.TempDir(), "bans")})
	if err != nil {
		t.Fatal(err)
	}
	var cfg midge.Config
	s.Install(&cfg.Hooks)
	w := newWorld(t, cfg, func(c *admin.Config) { c.Shield = s })
	s.Protect(w.b)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return w, w.serve(ln, "")
}

func TestBans(t *testing.T) {
	w, c := shielded(t)
	ctx := t.Context()
	if l, err := c.Bans(ctx); err != nil || l.Bans == nil || len(l.Bans) != 0 {
		t.Fatalf("%+v %v", l, err)
	}
	nc := w.connect("bad/one", "mallory")
	if _, err := nc.Write(packet.AppendPingreq(nil)); err != nil {
		t.Fatal(err)
	}
	expect(t, nc, packet.PINGRESP) // behind Hooks.Connected, which looks at bans, too
	w.connect("good", "alice")
	done, err := c.Ban(ctx, admin.Ban{User: "mallory", For: "90m", Reason: "noise"})
	if err != nil || !slices.Equal(done.Disconnected, []string{"bad/one"}) {
		t.Fatalf("%+v %v", done, err)
	}
	expect(t, nc, packet.DISCONNECT)
	if _, err := c.Ban(ctx, admin.Ban{Address: "192.0.2.7"}); err != nil {
		t.Fatal(err)
	}
	l, err := c.Bans(ctx)
	if err != nil || len(l.Bans) != 2 {
		t.Fatalf("%+v %v", l, err)
	}
	b := l.Bans[0]
	if left := time.Until(b.Until); b.User != "mallory" || b.Reason != "noise" || b.By != protect.ByOperator || left > 90*time.Minute || left < 89*time.Minute {
		t.Errorf("%+v", b)
	}
	if b := l.Bans[1]; b.Address.String() != "192.0.2.7/32" || !b.Until.IsZero() {
		t.Errorf("%+v", b)
	}
	if text := w.ask("GET", "/metrics").Body.String(); !strings.Contains(text, "\nmidge_bans 2\n") {
		t.Error(text)
	}
	if err := c.Unban(ctx, admin.Ban{User: "mallory"}); err != nil {
		t.Error(err)
	}
	w.connect("bad/one", "mallory")
	var refused *admin.Error
	if err := c.Unban(ctx, admin.Ban{User: "mallory"}); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Error(err)
	}
}

func TestBansThatMakeNoSense(t *testing.T) {
	w, c := shielded(t)
	for _, b := range []admin.Ban{{}, {Reason: "r"}, {Address: "there"}, {Client: "x", For: "soon"}, {Client: "x", For: "-1h"}} {
		var refused *admin.Error
		if _, err := c.Ban(t.Context(), b); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
			t.Errorf("%+v: %v", b, err)
		}
	}
	for _, body := range []string{"", "{", `{"clinet": "x"}`, strings.Repeat(" ", 1<<20)} {
		r := httptest.NewRequest("POST", "http://localhost/api/v1/bans", strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		rec := httptest.NewRecorder()
		w.h.ServeHTTP(rec, r)
		if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), `"do"`) {
			t.Errorf("%.20q: %d %s", body, rec.Code, rec.Body)
		}
	}
	if rec := w.ask("DELETE", "/api/v1/bans"); rec.Code != http.StatusBadRequest {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := newWorld(t, midge.Config{}).ask("GET", "/api/v1/bans"); rec.Code != http.StatusNotFound {
		t.Errorf("without a shield: %d", rec.Code)
	}
}
