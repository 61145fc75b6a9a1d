package main

import (
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/protect"
)

func connected(t *testing.T, url, id string) *client.Conn {
	t.Helper()
	c, err := client.Dial(t.Context(), strings.Replace(url, "tcp:", "mqtt:", 1), client.Options{ClientID: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestBanCommands(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	shield, err := protect.New(protect.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	cfg := midge.Config{Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}, Logger: quiet}
	shield.Install(&cfg.Hooks)
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	shield.Protect(b)
	s := httptest.NewServer(admin.New(admin.Config{Broker: b, Shield: shield, Logger: quiet}))
	defer s.Close()
	c := connected(t, b.Addrs()[0], "one")
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"bans", exitNone, "nobody is banned"},
		{"ban", exitUsage, "whom is it about"},
		{"ban --client one --for soon", exitUsage, "--help"},
		{"ban --address there", exitFailed, "192.0.2.0/24"},
		{"ban --client one --for 90m --reason noise", exitOK, "client one kept out for 1h30m; 1 client disconnected\n  one\n"},
		{"ban --user u --address 192.0.2.0/24", exitOK, "user u, 192.0.2.0/24 kept out until it is lifted; 0 clients"},
		{"bans", exitOK, "for 1h30m           noise"},
		{"bans --json", exitOK, `"192.0.2.0/24"`},
		{"unban", exitUsage, "whom is it about"},
		{"unban --client one", exitOK, "lifted"},
		{"unban --client one", exitNone, "no such ban"},
	} {
		t.Run(test.args, func(t *testing.T) {
			args := strings.Fields(test.args)
			code, out, errs := runFor(t, append([]string{args[0], "--url", s.URL}, args[1:]...)...)
			if code != test.code || !strings.Contains(out+errs, test.says) {
				t.Errorf("exit %d, want %d; want %q in\n%s%s", code, test.code, test.says, out, errs)
			}
		})
	}
	<-c.Done()
	code, _, errs := runFor(t, "bans", "--url", "127.0.0.1:1")
	if code != exitFailed || !strings.Contains(errs, "is the broker running") {
		t.Errorf("%d %s", code, errs)
	}
}

// The bans of midge serve --data outlive it.
func TestBansOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(t.TempDir(), "a.sock")
	for _, want := range []string{"nobody is banned", "noise"} {
		_, end := startServing(t, "--tcp", "127.0.0.1:0", "--data", dir, "--admin", at)
		if _, out, errs := runFor(t, "bans", "--url", at); !strings.Contains(out+errs, want) {
			t.Errorf("want %q in %s%s", want, out, errs)
		}
		if code, _, errs := runFor(t, "ban", "--url", at, "--client", "one", "--reason", "noise"); code != exitOK {
			t.Error(errs)
		}
		end()
	}
}
