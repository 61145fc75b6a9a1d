package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth/scram"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// A house is a broker in memory with a guard at its door.
type house struct {
	t  testing.TB
	g  *Guard
	b  *midge.Broker
	ln *transport.PipeListener
}

func newHouse(t testing.TB, p Policy) *house {
	t.Helper()
	h := &house{t: t, g: New(p), ln: transport.ListenPipe("house", 0)}
	cfg := midge.Config{Listeners: []midge.Listener{}, SysInterval: -1, Logger: slog.New(slog.DiscardHandler)}
	h.g.Install(&cfg.Hooks)
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.b = b
	t.Cleanup(func() { b.Close() })
	if err := b.Serve(h.ln); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) dial(o client.Options) (*client.Conn, error) {
	o.Dial = func(ctx context.Context, _ *url.URL) (net.Conn, error) { return h.ln.Dial(ctx) }
	o.Version = mqtt.V5
	c, err := client.Dial(context.Background(), "mqtt://house", o)
	if err == nil {
		h.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func (h *house) in(o client.Options) *client.Conn {
	h.t.Helper()
	c, err := h.dial(o)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// wantOut wants somebody refused with a code.
func (h *house) wantOut(o client.Options, code mqtt.ReasonCode) {
	h.t.Helper()
	_, err := h.dial(o)
	if err == nil || !strings.Contains(err.Error(), code.String()) {
		h.t.Errorf("%s: %v, want %v", o.Username, err, code)
	}
}

// passwordFile writes one with users "name=algorithm", whose passwords are
// their names and "!".
func passwordFile(t *testing.T, path string, users ...string) {
	t.Helper()
	f := NewPasswordFile(path)
	for _, u := range users {
		name, algo, _ := strings.Cut(u, "=")
		h, err := HashPassword(Algorithm(algo), name+"!", map[string]int{"sha512-pbkdf2": 100}[algo])
		if err != nil {
			t.Fatal(err)
		}
		f.Set(name, h)
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
}

func passwords(t *testing.T, users ...string) *Passwords {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	passwordFile(t, path, users...)
	p, err := OpenPasswords(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func login(user, password string) client.Options {
	return client.Options{ClientID: "c-" + user, Username: user, Password: []byte(password)}
}

func TestPasswordLogin(t *testing.T) {
	users := []string{"sha=sha512", "pb=sha512-pbkdf2", "argon=argon2id", "scram=scram-sha-256"}
	h := newHouse(t, Policy{Authenticators: []Authenticator{passwords(t, users...)}, Anonymous: AnonymousAlways})
	for _, u := range users {
		name, _, _ := strings.Cut(u, "=")
		h.in(login(name, name+"!"))
		h.wantOut(login(name, name), mqtt.BadUserNameOrPassword)
		h.wantOut(login(name, ""), mqtt.BadUserNameOrPassword)
	}
	h.wantOut(login("nobody", "nobody!"), mqtt.BadUserNameOrPassword)
	h.wantOut(client.Options{Password: []byte("token")}, mqtt.BadUserNameOrPassword)
	h.in(client.Options{})
}

func TestAnonymous(t *testing.T) {
	for _, c := range []struct {
		rule Anonymous
		at   string
		want bool
	}{
		{AnonymousLocally, "tcp://127.0.0.1:1883", true},
		{AnonymousLocally, "tcp://[::1]:1883", true},
		{AnonymousLocally, "ws://localhost:80/mqtt", true},
		{AnonymousLocally, "unix:///run/m.sock", true},
		{AnonymousLocally, "pipe://x", true},
		{AnonymousLocally, "tcp://:1883", false},
		{AnonymousLocally, "tcp://0.0.0.0:1883", false},
		{AnonymousLocally, "tls://[::]:8883", false},
		{AnonymousLocally, "tcp://192.0.2.1:1883", false},
		{AnonymousLocally, "tcp://127.0.0.1.example.org:1883", false},
		{AnonymousLocally, ":", false},
		{AnonymousLocally, "", false},
		{AnonymousNever, "tcp://127.0.0.1:1883", false},
		{AnonymousAlways, "tcp://:1883", true},
	} {
		p := Policy{Anonymous: c.rule}
		id, err := p.identify(t.Context(), &midge.Connect{Remote: midge.Remote{Listener: c.at}, Username: "claimed", HasUsername: true})
		if (err == nil) != c.want {
			t.Errorf("%d at %s: %v", c.rule, c.at, err)
		} else if err == nil && id.User != "claimed" {
			t.Errorf("%+v", id)
		}
	}
}

// A policy is replaced under clients that stay, and those who may not go.
func TestApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "passwords")
		passwordFile(t, path, "alice=sha512", "bob=sha512", "eve=sha512", "carol=scram-sha-256")
		users, err := OpenPasswords(path)
		if err != nil {
			t.Fatal(err)
		}
		open := Policy{Authenticators: []Authenticator{users}, Methods: []Method{Scram{users}}, ACL: parse(t, "allow readwrite #")}
		h := newHouse(t, open)
		alice, bob, eve := h.in(login("alice", "alice!")), h.in(login("bob", "bob!")), h.in(login("eve", "eve!"))
		carol := h.in(client.Options{ClientID: "carol", Auth: scram.NewClient("carol", "carol!")})
		anon := h.in(client.Options{})
		got := make(chan string, 10)
		alice.Handle("#", func(_ context.Context, m client.Message) { got <- m.Topic })
		alice.Subscribe(t.Context(), client.Subscription{Filter: "#", QoS: 1})

		// The file keeps bob, gives eve another hash, and alice and carol the same.
		f, _ := ReadPasswordFile(path)
		hash, _ := HashPassword(SHA512, "eve!", 0)
		f.Set("eve", hash)
		f.Delete("bob")
		if err := f.Write(); err != nil {
			t.Fatal(err)
		}
		if err := users.Reload(); err != nil {
			t.Fatal(err)
		}
		next := open
		next.Anonymous, next.ACL = AnonymousNever, parse(t, "deny publish secret\nallow readwrite #")
		gone := map[string]bool{}
		for _, c := range h.g.Apply(h.b, next) {
			gone[c.Username] = true
		}
		if len(gone) != 3 || !gone["bob"] || !gone["eve"] || !gone[""] {
			t.Errorf("%v are gone", gone)
		}
		<-bob.Done()
		<-eve.Done()
		<-anon.Done()
		if !strings.Contains(bob.Err().Error(), mqtt.NotAuthorized.String()) {
			t.Error(bob.Err())
		}
		for topic, want := range map[string]mqtt.ReasonCode{"secret": mqtt.NotAuthorized, "open": mqtt.Success} {
			r, err := carol.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1})
			if r.Code != want && (err == nil || !strings.Contains(err.Error(), want.String())) {
				t.Errorf("%s: %v, %v", topic, r.Code, err)
			}
		}
		if topic := <-got; topic != "open" || len(got) > 0 {
			t.Errorf("alice got %s and %d more", topic, len(got))
		}
		h.wantOut(login("bob", "bob!"), mqtt.BadUserNameOrPassword)
		h.in(login("eve", "eve!"))
	})
}

// One whose policy was replaced while it came in can do nothing.
func TestStrangerInside(t *testing.T) {
	p := passwords(t, "alice=sha512")
	g := New(Policy{Authenticators: []Authenticator{p}, Anonymous: AnonymousAlways})
	c := &midge.Connect{ClientID: "a", Username: "alice", HasUsername: true, Password: []byte("alice!")}
	if err := g.authenticate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if !c.Access.MayPublish([]byte("t")) {
		t.Error("denied")
	}
	other := Policy{Authenticators: []Authenticator{passwords(t, "bob=sha512")}, Anonymous: AnonymousAlways}
	g.policy.Store(&other)
	if c.Access.MayPublish([]byte("t")) || c.Access.MayReceive([]byte("t")) || c.Access.MaySubscribe("t") {
		t.Error("allowed")
	}
}

// A connection that nobody vouches for any more does not come in, does not
// stay, and can do nothing if it came in just before.
func TestVouch(t *testing.T) {
	var asked int
	over := midge.Remote{TLS: new(tls.ConnectionState)}
	p := Policy{Anonymous: AnonymousAlways, Methods: []Method{Scram{passwords(t, "carol=scram-sha-256")}}}
	g := New(p)
	before := &midge.Connect{Remote: over}
	if err := g.authenticate(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	p.Vouch = func(*tls.ConnectionState) error {
		asked++
		return &midge.Refusal{Code: mqtt.NotAuthorized}
	}
	g.policy.Store(&p)
	if before.Access.MayPublish([]byte("t")) {
		t.Error("one who came in before may publish")
	}
	if g.Stays(midge.ClientInfo{Remote: over, Access: before.Access}) == nil {
		t.Error("it stays")
	}
	if err := g.authenticate(t.Context(), &midge.Connect{Remote: over}); refusalCode(err) != mqtt.NotAuthorized {
		t.Error(err)
	}
	plain := &midge.Connect{}
	if err := g.authenticate(t.Context(), plain); err != nil || !plain.Access.MayPublish([]byte("t")) {
		t.Error("without TLS:", err)
	}
	asked = 0
	p.Vouch = func(*tls.ConnectionState) error { asked++; return nil }
	c := &midge.Connect{Remote: over}
	if err := g.authenticate(t.Context(), c); err != nil || !c.Access.MayPublish([]byte("t")) || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

func TestScramLogin(t *testing.T) {
	users := passwords(t, "carol=scram-sha-256", "dave=sha512")
	h := newHouse(t, Policy{Authenticators: []Authenticator{users}, Methods: []Method{Scram{users}}, Anonymous: AnonymousNever})
	with := func(user, password string) client.Options {
		return client.Options{ClientID: "c-" + user, Auth: scram.NewClient(user, password)}
	}
	c := h.in(with("carol", "carol!"))
	if cs := h.b.Clients(); len(cs) != 1 || cs[0].Username != "carol" {
		t.Errorf("%+v", cs)
	}
	if err := c.Reauthenticate(t.Context()); err != nil {
		t.Error(err)
	}
	local := newHouse(t, Policy{Methods: []Method{Scram{users}}})
	local.in(client.Options{})
	local.wantOut(login("carol", ""), mqtt.BadUserNameOrPassword) // a name is to be proven here, too
	h.wantOut(with("carol", "carol"), mqtt.BadUserNameOrPassword)
	h.wantOut(with("dave", "dave!"), mqtt.BadUserNameOrPassword)
	h.wantOut(with("nobody", "x"), mqtt.BadUserNameOrPassword)
	other := with("carol", "carol!")
	other.Username = "dave"
	h.wantOut(other, mqtt.NotAuthorized)
	h.wantOut(client.Options{Auth: method("KERBEROS")}, mqtt.BadAuthenticationMethod)
	if err := users.Reload(); err != nil {
		t.Error(err)
	}
	if gone := h.g.Apply(h.b, h.g.Policy()); len(gone) != 0 {
		t.Errorf("%+v", gone)
	}
}

// Iterations do not tell who exists.
func TestScramHidesWhoExists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	f := NewPasswordFile(path)
	h, err := HashPassword(ScramSHA256, "x", 5000)
	if err != nil {
		t.Fatal(err)
	}
	f.Set("carol", h)
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	users, err := OpenPasswords(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"carol", "nobody"} {
		challenge, _, err := Scram{users}.Begin(&midge.Connect{}).Step(t.Context(), []byte("n,,n="+user+",r=c"))
		if err != nil || !strings.HasSuffix(string(challenge), ",i=5000") {
			t.Errorf("%s: %s, %v", user, challenge, err)
		}
	}
}

// Each listener may have a policy of its own.
func TestElsewhere(t *testing.T) {
	inner := Policy{ACL: parse(t, "allow publish inner"), Methods: []Method{Scram{passwords(t, "carol=scram-sha-256")}}}
	g := New(Policy{Anonymous: AnonymousNever, Elsewhere: func(r midge.Remote) *Policy {
		if r.Listener == "unix:///inner" {
			return &inner
		}
		return nil
	}})
	var hooks midge.Hooks
	g.Install(&hooks)
	in := &midge.Connect{Remote: midge.Remote{Listener: "unix:///inner"}}
	if err := hooks.Authenticate(t.Context(), in); err != nil || !in.Access.MayPublish([]byte("inner")) || in.Access.MayPublish([]byte("outer")) {
		t.Error(err)
	}
	out := &midge.Connect{Remote: midge.Remote{Listener: "unix:///outer"}}
	if err := hooks.Authenticate(t.Context(), out); refusalCode(err) != mqtt.NotAuthorized {
		t.Error(err)
	}
	if hooks.Enhanced(t.Context(), in, scram.Method) == nil || hooks.Enhanced(t.Context(), out, scram.Method) != nil {
		t.Error("methods")
	}
	if g.Stays(midge.ClientInfo{Remote: in.Remote, Access: in.Access}) != nil {
		t.Error("does not stay")
	}
	inner.Anonymous = AnonymousNever
	if g.Stays(midge.ClientInfo{Remote: in.Remote, Access: in.Access}) == nil {
		t.Error("stays")
	}
}

// Nobody becomes somebody else on the way.
func TestReauthenticateAsAnother(t *testing.T) {
	users := passwords(t, "carol=scram-sha-256", "dave=scram-sha-256")
	h := newHouse(t, Policy{Methods: []Method{Scram{users}}, Anonymous: AnonymousNever})
	who := &switching{scram.NewClient("carol", "carol!")}
	c := h.in(client.Options{Auth: who})
	who.Client = scram.NewClient("dave", "dave!")
	if err := c.Reauthenticate(t.Context()); err == nil {
		t.Error("carol became dave")
	}
	<-c.Done()
}

type switching struct{ *scram.Client }

// A method is an Authenticator with nothing but a name.
type method string

func (m method) Method() string                      { return string(m) }
func (method) Start(context.Context) ([]byte, error) { return nil, nil }
func (method) Continue(_ context.Context, _ []byte) (out []byte, e error) {
	return nil, errors.New("no")
}
func (method) Finish(context.Context, []byte) error { return nil }

// Hooks that are there already are asked afterwards.
func TestInstallKeepsHooks(t *testing.T) {
	var hooks midge.Hooks
	no := errors.New("no")
	hooks.Authenticate = func(context.Context, *midge.Connect) error { return no }
	hooks.Enhanced = func(context.Context, *midge.Connect, string) midge.Exchange { return &exchange{} }
	New(Policy{Anonymous: AnonymousAlways}).Install(&hooks)
	if err := hooks.Authenticate(t.Context(), &midge.Connect{}); !errors.Is(err, no) {
		t.Error(err)
	}
	if hooks.Enhanced(t.Context(), &midge.Connect{}, "x") == nil {
		t.Error("the other's methods are gone")
	}
}

// refusalCode is the code an error has for the client; 0: none.
func refusalCode(err error) mqtt.ReasonCode {
	if r := (*midge.Refusal)(nil); errors.As(err, &r) {
		return r.Code
	}
	return 0
}
