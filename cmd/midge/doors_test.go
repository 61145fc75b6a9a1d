package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/mqtt"
)

// bearer is a client's end of the method JWT.
type bearer func() string

func (bearer) Method() string                          { return "JWT" }
func (b bearer) Start(context.Context) ([]byte, error) { return []byte(b()), nil }
func (bearer) Continue(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("there is no more to say")
}
func (bearer) Finish(context.Context, []byte) error { return nil }

// One who is in is not asked again whether there is room.
func TestReauthenticateInFullHouse(t *testing.T) {
	dir := t.TempDir()
	key := strings.Repeat("k", 32)
	writeFile(t, filepath.Join(dir, "secret"), key)
	file := filepath.Join(dir, "m.toml")
	writeFile(t, file, `
[[listener]]
url = "tcp://127.0.0.1:0"
max_connections = 1
[auth]
id_prefixes = ["midge-"]
[jwt]
algorithms = ["HS256"]
secret_file = "secret"
`)
	urls := serving(t, "serve", "-c", file)
	token := func() string {
		return signed(key, fmt.Sprintf(`{"sub":"esp","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	}
	c, err := client.Dial(t.Context(), strings.Replace(urls[0], "tcp", "mqtt", 1), client.Options{AssignedID: true, Auth: bearer(token), Version: mqtt.V5})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Reauthenticate(t.Context()); err != nil {
		t.Error(err)
	}
}

// slow is an authenticator, and a method, that takes its time.
type slow struct{ meanwhile func() }

func (s slow) Authenticate(context.Context, *midge.Connect) (*auth.Identity, error) {
	s.meanwhile()
	return &auth.Identity{User: "alice"}, nil
}
func (slow) Stays(*auth.Identity) error          { return nil }
func (slow) Name() string                        { return "SLOW" }
func (s slow) Begin(c *midge.Connect) auth.Steps { return slowSteps{s} }
func (s slowSteps) Step(ctx context.Context, _ []byte) ([]byte, *auth.Identity, error) {
	id, err := s.Authenticate(ctx, nil)
	return nil, id, err
}

type slowSteps struct{ slow }

// Whose password is looked at while others come in finds no room left, however
// many are looked at at once.
func TestListenerFillsUpMeanwhile(t *testing.T) {
	c := config.Default()
	c.ListenAt("tcp://127.0.0.1:7").MaxConnections = 1
	for _, comes := range []int64{0, 1} {
		ds, err := newDoors(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		var hooks midge.Hooks
		ds.install(&hooks)
		var d *door
		s := slow{func() { d.clients.Store(comes) }}
		d = newDoor(&doorRules{listener: c.Listeners[0], policy: auth.Policy{Authenticators: []auth.Authenticator{s}, Methods: []auth.Method{s}}})
		ds.places["127.0.0.1:7"] = d
		ask := midge.Connect{ClientID: "a", Version: mqtt.V5, Remote: midge.Remote{Listener: "tcp://127.0.0.1:7"}}
		plain, enhanced := ask, ask
		if err := hooks.Authenticate(t.Context(), &plain); (err == nil) != (comes == 0) {
			t.Errorf("%d came meanwhile: %v", comes, err)
		}
		d.clients.Store(0)
		if _, done, err := hooks.Enhanced(t.Context(), &enhanced, "SLOW").Step(t.Context(), nil); (err == nil && done) != (comes == 0) {
			t.Errorf("%d came meanwhile, enhanced: %v", comes, err)
		}
		d.clients.Store(0)
	}
}

// Prefixes bind those without an identifier, too.
func TestPrefixesBindAssigned(t *testing.T) {
	c := config.Default()
	c.Complete()
	d := newDoor(&doorRules{listener: c.Listeners[0]})
	for _, prefix := range []string{"dev-", "midge-"} {
		c.Auth.IDPrefixes = []string{prefix}
		if err := d.admits(&midge.Connect{ClientID: "midge-1", Assigned: true, Version: mqtt.V5}, c); (err == nil) != (prefix == "midge-") {
			t.Errorf("%s: %v", prefix, err)
		}
	}
}

// What --set says of listener.0 holds for that of the command line.
func TestSetOfListener(t *testing.T) {
	f := serveFlags{urls: []string{"tcp://127.0.0.1:0"}, set: list{"listener.0.protocols=5", "limits.max_retained=7"}}
	c, err := f.config()
	if err == nil {
		err = f.complete(c, &service{})
	}
	if err != nil || len(c.Listeners) != 1 || len(c.Listeners[0].Protocols) != 1 || c.Limits.MaxRetained != 7 {
		t.Errorf("%v, %+v", err, c.Listeners)
	}
	f.set = list{"listener.0.protocls=5"}
	if c, err = f.config(); err == nil {
		err = f.complete(c, &service{})
	}
	if err == nil || !strings.Contains(err.Error(), "protocols") {
		t.Error(err)
	}
}

// An address is one in every format of the log.
func TestLogOfAddress(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var b bytes.Buffer
		log, _, _, err := openLog(&config.Log{Level: "info", To: "stderr", Format: format}, nil, &b)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("x", "remote", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7})
		if !strings.Contains(b.String(), "192.0.2.1:7") || strings.Contains(b.String(), "time") {
			t.Error(b.String())
		}
	}
}

// Tokens are known at a glance. A password costs a hash, and those are few at
// a time: devices that come back all at once would be told "server busy".
func TestTokensComeBeforePasswords(t *testing.T) {
	dir := t.TempDir()
	c := config.Default()
	c.Complete()
	c.Auth.PasswordFile, c.JWT.SecretFile = filepath.Join(dir, "users"), filepath.Join(dir, "secret")
	c.JWT.Algorithms = []string{"HS256"}
	passwords(t, c.Auth.PasswordFile, "alice")
	writeFile(t, c.JWT.SecretFile, strings.Repeat("k", 32))
	rules, _, err := allRules(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, first := rules[0].policy.Authenticators[0].(*auth.Passwords); first {
		t.Error("a token is held against passwords first")
	}
}

// A connection finds its listener whatever the address looks like, and through
// a listener there is none of nobody comes in.
func TestDoorOfListener(t *testing.T) {
	for _, c := range []struct{ configured, bound string }{
		{"tcp://[fe80::1%25eth0]:1883", "tcp://[fe80::1%25eth0]:1883"},
		{"unix:///run//midge%20one.sock", "unix:///run/midge%20one.sock"},
		{"unix:midge.sock", "unix:midge.sock"},
		{"wss://127.0.0.1:443/mqtt", "wss://127.0.0.1:443/other"},
	} {
		if config.Place(c.configured) != config.Place(c.bound) {
			t.Errorf("%s is bound at %s, and not found", c.configured, c.bound)
		}
	}
	cfg := config.Default()
	cfg.Complete()
	ds, err := newDoors(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ds.bound("127.0.0.1:1883", ds.all[0]); err != nil {
		t.Error(err)
	}
	if err := ds.bound("127.0.0.1:1883", ds.wall); err == nil {
		t.Error("two listeners have one address, and the rules of either")
	}
	var hooks midge.Hooks
	ds.install(&hooks)
	c := &midge.Connect{Remote: midge.Remote{Listener: "tcp://127.0.0.1:7"}}
	if hooks.Authenticate(t.Context(), c) == nil || hooks.Enhanced(t.Context(), c, "JWT") != nil {
		t.Error("somebody comes in by a door that is not there")
	}
}

// passwords is a password file in which everybody's password is the name.
func passwords(t *testing.T, path string, users ...string) {
	t.Helper()
	f := auth.NewPasswordFile(path)
	for _, u := range users {
		h, err := auth.HashPassword("sha512", u, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Set(u, h)
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
}
