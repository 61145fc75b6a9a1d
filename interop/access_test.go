package interop

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// accessFiles returns the password file of mosquitto_passwd and the acl_file
// that both brokers get.
func accessFiles(t *testing.T) (passwords, acl string) {
	t.Helper()
	passwords = filepath.Join(t.TempDir(), "passwords")
	tool := need(t, "mosquitto_passwd", "apt-get install mosquitto")
	if err := os.WriteFile(passwords, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"alice", "bob", "eve", "admin"} {
		run(t, tool, "-b", passwords, user, user+"!")
	}
	return passwords, "testdata/acl"
}

// guarded runs midge with these files, for real clients.
func guarded(t *testing.T, passwords, acl string) string {
	t.Helper()
	users, err := auth.OpenPasswords(passwords)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := auth.LoadACL(acl)
	if err != nil {
		t.Fatal(err)
	}
	cfg := midge.Config{Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}, Logger: slog.New(slog.DiscardHandler)}
	auth.New(auth.Policy{Authenticators: []auth.Authenticator{users}, ACL: rules, Anonymous: auth.AnonymousAlways}).Install(&cfg.Hooks)
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return strings.Replace(b.Addrs()[0], "tcp", "mqtt", 1)
}

// guardedMosquitto runs Mosquitto with them.
func guardedMosquitto(t *testing.T, passwords, acl string) string {
	t.Helper()
	program := need(t, "mosquitto", "apt-get install mosquitto")
	acl, _ = filepath.Abs(acl)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().(*net.TCPAddr)
	ln.Close()
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npassword_file %s\nacl_file %s\nuser root\n", at.Port, passwords, acl)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := start(t, program, "-v", "-c", conf)
	p.want("running")
	return "mqtt://" + at.String()
}

// A visitor is one client of a broker, and the topics of what it got.
type visitor struct {
	t   *testing.T
	c   *client.Conn
	got chan string
}

func visit(t *testing.T, url, user, id string, with ...func(*client.Options)) *visitor {
	t.Helper()
	v := &visitor{t: t, got: make(chan string, 1000)}
	o := client.Options{ClientID: id, Username: user, SessionExpiry: -1, CleanStart: true, Version: mqtt.V5}
	if user != "" {
		o.Password = []byte(user + "!")
	}
	o.Handler = func(_ context.Context, m client.Message) { v.got <- m.Topic }
	for _, f := range with {
		f(&o)
	}
	c, err := client.Dial(t.Context(), url, o)
	if err != nil {
		t.Fatalf("%s as %s: %v", url, user, err)
	}
	v.c = c
	t.Cleanup(func() { c.Close() })
	return v
}

// say publishes and returns what became of it.
func (v *visitor) say(topic string, retain bool) string {
	v.t.Helper()
	r, err := v.c.Publish(v.t.Context(), mqtt.Message{Topic: topic, Payload: []byte("x"), QoS: 1, Retain: retain})
	if err != nil {
		if !strings.Contains(err.Error(), mqtt.NotAuthorized.String()) {
			v.t.Fatal(err)
		}
		return "denied"
	}
	if r.Code.Failed() {
		v.t.Fatal(r.Code)
	}
	return "taken"
}

func (v *visitor) subscribe(filter string) {
	v.t.Helper()
	if _, err := v.c.Subscribe(v.t.Context(), client.Subscription{Filter: filter, QoS: 1}); err != nil {
		v.t.Fatalf("%s: %v", filter, err)
	}
}

// until returns what came before a mark.
func (v *visitor) until(mark string) (topics []string) {
	v.t.Helper()
	for {
		select {
		case topic := <-v.got:
			if topic == mark {
				slices.Sort(topics)
				return topics
			}
			topics = append(topics, topic)
		case <-time.After(patience):
			v.t.Fatalf("%s does not come", mark)
		}
	}
}

var accessTopics = []string{
	"public", "public/x", "public/secret", "public/secret/x", "public/hidden", "public/hidden/x", "publicx",
	"a", "a/b", "a/hidden", "a/hidden/x", "ab", "only/write", "only/read", "exact", "exact/x", "x/plus", "x/y/plus",
	"b/x/no", "b/no", "dev/c1/up", "dev/c1/down", "dev/c2/up", "dev/c1/both", "dev/c1/both/yes", "dev/c1/both/no",
	"home/alice/x", "home/bob", "home/eve/y/z", "home//x", "other", "/",
}

// outcomes does everything there is to do, as everybody, and notes what came
// of it.
func outcomes(t *testing.T, url string, with ...func(*client.Options)) map[string]string {
	all := map[string]string{}
	admin := visit(t, url, "admin", "admin", with...)
	admin.subscribe("#")
	marks := 0
	mark := func(by *visitor) string {
		marks++
		m := fmt.Sprintf("mark/%d", marks)
		by.say(m, false)
		return m
	}
	for _, who := range []struct{ user, id string }{{"", "c1"}, {"alice", "c1"}, {"bob", "c2"}, {"eve", "c1"}} {
		name := fmt.Sprintf("%s/%s", who.user, who.id)
		v := visit(t, url, who.user, who.id, with...)
		for _, topic := range accessTopics {
			code := v.say(topic, false)
			all[name+" publishes "+topic] = code + fmt.Sprint(admin.until(mark(v)))
			code = v.say(topic, true)
			all[name+" retains "+topic] = code + fmt.Sprint(admin.until(mark(v)))
		}
		v.subscribe("#")
		for _, topic := range accessTopics {
			admin.say(topic, false)
			m := mark(admin)
			all[name+" receives "+topic] = fmt.Sprint(v.until(m))
			admin.until(m)
		}
		for _, topic := range accessTopics {
			admin.say(topic, true)
		}
		admin.until(mark(admin))
		late := visit(t, url, who.user, who.id, with...) // takes over
		late.subscribe("#")
		late.subscribe("mark/#")
		all[name+" is sent what is retained"] = fmt.Sprint(late.until(mark(admin)))
		admin.until(fmt.Sprintf("mark/%d", marks))
		for _, topic := range accessTopics {
			admin.c.Publish(t.Context(), mqtt.Message{Topic: topic, Retain: true, QoS: 1})
		}
		admin.until(mark(admin))
		queued(t, url, who.user, who.id, admin, mark, all, name, with...)
		for _, topic := range accessTopics {
			doomed := visit(t, url, who.user, who.id, append(slices.Clone(with), func(o *client.Options) {
				o.Will = &client.Will{Message: mqtt.Message{Topic: topic, QoS: 1}}
			})...)
			heir := visit(t, url, who.user, who.id, with...) // the other's will is said first
			<-doomed.c.Done()
			all[name+" wills "+topic] = fmt.Sprint(admin.until(mark(heir)))
		}
	}
	return all
}

// queued notes what waits for a client that was away.
func queued(t *testing.T, url, user, id string, admin *visitor, mark func(*visitor) string, all map[string]string, name string, with ...func(*client.Options)) {
	kept := append(slices.Clone(with), func(o *client.Options) { o.SessionExpiry = time.Minute })
	v := visit(t, url, user, id, kept...)
	v.subscribe("#")
	v.c.Close()
	for _, topic := range accessTopics {
		admin.say(topic, false)
	}
	m := mark(admin)
	admin.until(m)
	v = visit(t, url, user, id, append(kept, func(o *client.Options) { o.CleanStart = false })...)
	all[name+" is sent what waited"] = fmt.Sprint(v.until(m))
}

// Under the same files, Mosquitto and midge let the same through, whoever asks
// and by whichever way: published, retained, received, queued, willed.
func TestAccessLikeMosquitto(t *testing.T) {
	passwords, acl := accessFiles(t)
	want := outcomes(t, guardedMosquitto(t, passwords, acl))
	got := outcomes(t, guarded(t, passwords, acl))
	through := 0
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %s, Mosquitto: %s", name, got[name], w)
		}
		if strings.HasSuffix(w, "[]") {
			continue
		}
		through++
	}
	t.Logf("%d outcomes compared, %d of them let something through", len(want), through)
	if len(want) != len(got) || through < 60 || through > len(want)-60 {
		t.Errorf("%d and %d outcomes, %d let something through", len(want), len(got), through)
	}
}

// Mosquitto reads what midge passwd writes for it.
func TestMosquittoReadsOurPasswords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	for user, algorithm := range map[string]string{"alice": "sha512-pbkdf2", "bob": "sha512"} {
		args := []string{"passwd", "-b", "-H", algorithm, path, user, user + "!"}
		if _, err := os.Stat(path); err != nil {
			args = slices.Insert(args, 1, "-c")
		}
		run(t, binary, args...)
	}
	url := guardedMosquitto(t, path, "testdata/acl")
	for _, user := range []string{"alice", "bob"} {
		visit(t, url, user, user)
		if _, err := client.Dial(t.Context(), url, client.Options{Username: user, Password: []byte("wrong")}); err == nil {
			t.Errorf("%s: a wrong password does, too", user)
		}
	}
}
