package admin_test

import (
	"errors"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
)

func TestHealth(t *testing.T) {
	var more error
	w := newWorld(t, midge.Config{}, func(c *admin.Config) { c.Ready = func() error { return more } })
	want := func(ready int) {
		t.Helper()
		if got := w.ask("GET", "/healthz").Code; got != 200 {
			t.Errorf("/healthz is %d", got)
		}
		if rec := w.ask("GET", "/readyz"); rec.Code != ready {
			t.Errorf("/readyz is %d %s, want %d", rec.Code, rec.Body, ready)
		}
	}
	want(200)
	more = errors.New("starting")
	want(503)
	more = nil
	w.b.Close()
	want(503)
}
