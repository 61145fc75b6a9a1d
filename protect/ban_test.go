package protect

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

func prefix(t testing.TB, text string) netip.Prefix {
	t.Helper()
	p, err := ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Bans by identifier, user, address and block, alone and together: whom they
// are about is disconnected and told, and stays out.
func TestBan(t *testing.T) {
	for _, at := range []string{"192.0.2.7", "2001:db8::7"} {
		for name, b := range map[string]Ban{
			"client":            {Client: "c"},
			"user":              {User: "bob"},
			"address":           {Address: prefix(t, at)},
			"block":             {Address: prefix(t, map[bool]string{true: "192.0.0.0/16", false: "2001:db8::/32"}[at[0] == '1'])},
			"client at address": {Client: "c", Address: prefix(t, at)},
			"all":               {Client: "c", User: "bob", Address: prefix(t, at)},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newTown(t, Config{})
					other := w.in("198.51.100.1", "other")
					bob := client.Options{ClientID: "c", Username: "bob", Password: []byte("bob")}
					c, err := w.come(at, bob)
					if err != nil {
						t.Fatal(err)
					}
					synctest.Wait() // Hooks.Connected, which looks at bans itself, comes behind CONNACK
					b.Reason, b.Until = "spam", time.Now().Add(time.Hour)
					gone, err := w.s.Ban(b)
					if err != nil || len(gone) != 1 || gone[0].ClientID != "c" {
						t.Fatal(gone, err)
					}
					<-c.Done()
					var d *client.DisconnectError
					if !errors.As(c.Err(), &d) || d.Code != mqtt.AdministrativeAction || !strings.Contains(d.Reason, "spam") {
						t.Errorf("told %v", c.Err())
					}
					w.refused(at, bob, mqtt.Banned, "banned: spam, until 2000-01-01T01:00:00Z")
					w.in("203.0.113.1", "stranger")
					if other.Err() != nil {
						t.Error(other.Err())
					}
					if all := w.s.Bans(); len(all) != 1 || all[0].By != ByOperator || all[0].target() != b.target() {
						t.Errorf("%+v", all)
					}
					<-time.After(time.Hour)
					if _, err := w.come(at, bob); err != nil {
						t.Error("the ban is over:", err)
					}
				})
			})
		}
	}
}

// Bans outlive the process, but for those whose time has come.
func TestBansAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bans.json")
	s, err := New(Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []Ban{
		{Client: "a \"quoted\" name", Reason: "because"},
		{Address: prefix(t, "192.0.2.0/24"), Until: time.Now().Add(time.Hour)},
		{User: "u", Until: time.Now().Add(-time.Hour)},
		{User: "v"},
	} {
		if _, err := s.Ban(b); err != nil {
			t.Fatal(err)
		}
	}
	if lifted, err := s.Unban(Ban{User: "v"}); !lifted || err != nil {
		t.Fatal(lifted, err)
	}
	if lifted, err := s.Unban(Ban{User: "v"}); lifted || err != nil {
		t.Fatal(lifted, err)
	}
	again, err := New(Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	was, is := s.Bans(), again.Bans()
	if len(is) != 2 {
		t.Fatalf("%+v", is)
	}
	for i := range is {
		if is[i].target() != was[i].target() || is[i].Reason != was[i].Reason || !is[i].Since.Equal(was[i].Since) || !is[i].Until.Equal(was[i].Until) {
			t.Errorf("%+v, was %+v", is[i], was[i])
		}
	}
	if left, _ := filepath.Glob(file + ".*"); len(left) > 0 {
		t.Error("left behind:", left)
	}
	for _, text := range []string{"{", `{"bans":[{"reason":"nobody"}]}`, `{"bans":[{"address":"x"}]}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{File: file}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s is taken", text)
		}
	}
}

// A ban that cannot be written is in force.
func TestBanWithoutADisk(t *testing.T) {
	s, err := New(Config{File: filepath.Join(t.TempDir(), "missing", "bans.json")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ban(Ban{Client: "c"}); err == nil {
		t.Error("no error")
	}
	if len(s.Bans()) != 1 {
		t.Error("no ban")
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7":           "192.0.2.7/32",
		"192.0.2.7/24":        "192.0.2.0/24",
		"::ffff:192.0.2.7":    "192.0.2.7/32",
		"::ffff:192.0.2.0/96": "0.0.0.0/0",
		"2001:db8::1":         "2001:db8::1/128",
		"2001:db8::1/64":      "2001:db8::/64",
	} {
		if p, err := ParseAddress(text); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"", "x", "192.0.2", "fe80::1%eth0", "192.0.2.1/33"} {
		if p, err := ParseAddress(text); err == nil {
			t.Errorf("%q: %v", text, p)
		}
	}
}

// A ban that comes while a client is let in is about that client, too.
func TestBanDuringAuthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{})
		w.during = func() {
			if _, err := w.s.Ban(Ban{Client: "c"}); err != nil {
				t.Error(err)
			}
		}
		if c, err := w.come("192.0.2.1", client.Options{ClientID: "c"}); err == nil {
			select {
			case <-c.Done():
			case <-time.After(time.Hour):
				t.Error("it is in, an hour later")
			}
		}
	})
}

// What clients are told fits into a packet, and is text.
func TestBanReason(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{"a\x00b", "\xff", strings.Repeat("x", MaxReason+1)} {
		if _, err := s.Ban(Ban{Client: "c", Reason: reason}); err == nil || len(s.Bans()) != 0 {
			t.Errorf("%.10q: %v, %+v", reason, err, s.Bans())
		}
	}
}
