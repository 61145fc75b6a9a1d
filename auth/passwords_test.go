package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/internal/gate"
	"github.com/midgemq/midge/mqtt"
)

func credentials(user, password, from string) *midge.Connect {
	return &midge.Connect{
		Username: user, HasUsername: true, Password: []byte(password),
		Remote: midge.Remote{Addr: &net.TCPAddr{IP: net.ParseIP(from), Port: 1}},
	}
}

// However many ask for one comparison, it is made once; and not again.
func TestOneComparison(t *testing.T) {
	p := passwords(t, "alice=argon2id")
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			password := []string{"alice!", "wrong"}[i%2]
			id, err := p.Authenticate(t.Context(), credentials("alice", password, "192.0.2.1"))
			if (err == nil) != (i%2 == 0) || err == nil && id.User != "alice" {
				t.Error(id, err)
			}
		})
	}
	all.Wait()
	if n := p.checks.Load(); n != 2 {
		t.Errorf("%d hashes computed", n)
	}
}

// While somebody tries passwords as fast as they go, those who were there
// before get in at once, and others after a while: see package gate.
func TestFlood(t *testing.T) {
	p := passwords(t, "alice=sha512-pbkdf2", "bob=sha512-pbkdf2", "carol=sha512-pbkdf2")
	p.effort = newEffort()
	p.gate = gate.New(1, 24) // three of an address wait
	if _, err := p.Authenticate(t.Context(), credentials("alice", "alice!", "192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var attackers sync.WaitGroup
	busy := make(chan struct{}, 1)
	for i := range 64 {
		attackers.Go(func() {
			for k := 0; ctx.Err() == nil && k < 1e6; k++ {
				_, err := p.Authenticate(ctx, credentials([]string{"bob", "nobody"}[k%2], fmt.Sprint(i, "-", k), "198.51.100.9"))
				if err == nil {
					t.Error("let in")
				}
				if errors.Is(err, errBusy) {
					select {
					case busy <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	for range 100 {
		if _, err := p.Authenticate(t.Context(), credentials("alice", "alice!", "192.0.2.1")); err != nil {
			t.Error(err)
		}
	}
	if _, err := p.Authenticate(t.Context(), credentials("carol", "carol!", "192.0.2.1")); err != nil {
		t.Error(err)
	}
	<-busy // somebody is told to come later
	cancel()
	attackers.Wait()
	for drained := false; !drained; { // what they asked for goes on without them
		p.gate.Enter(t.Context(), "")
		drained = p.gate.Waiting() == 0
		p.gate.Leave()
	}
}

// A user that does not exist is not told from one that does by the work done.
func TestUnknownUserCostsTheSame(t *testing.T) {
	p := passwords(t, "alice=sha512")
	for _, user := range []string{"alice", "nobody"} {
		before := p.checks.Load()
		_, err := p.Authenticate(t.Context(), credentials(user, "x", "192.0.2.1"))
		if p.checks.Load() != before+1 || err == nil {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// Somebody who gives up does not take the answer from others, and is told to
// come later.
func TestImpatientLogin(t *testing.T) {
	p := passwords(t, "alice=sha512")
	p.effort = newEffort()
	p.gate = gate.New(1, 1024)
	p.gate.Enter(t.Context(), "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var r *midge.Refusal
	if _, err := p.Authenticate(ctx, credentials("alice", "alice!", "192.0.2.1")); !errors.As(err, &r) || r.Code != mqtt.ServerBusy {
		t.Error(err)
	}
	done := make(chan error)
	go func() {
		_, err := p.Authenticate(t.Context(), credentials("alice", "alice!", "192.0.2.1"))
		done <- err
	}()
	p.gate.Leave()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReloadKeepsWhatItHas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	passwordFile(t, path, "alice=sha512", "bob=sha512")
	p, err := OpenPasswords(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("alice\nbob:clear\n:x\nbob:$6$a$b\n#c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = p.Reload()
	for i, want := range []string{":1: user \"alice\"", ":2: the password of \"bob\" is not hashed", ":3: a user name", ":4: user \"bob\""} {
		if err == nil || !strings.Contains(err.Error(), path+want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	os.Remove(path)
	if p.Reload() == nil {
		t.Error("a file that is gone")
	}
	if _, err := p.Authenticate(t.Context(), credentials("alice", "alice!", "192.0.2.1")); err != nil {
		t.Error(err)
	}
	passwordFile(t, path, "bob=sha512")
	if err := p.Reload(); err != nil {
		t.Error(err)
	}
	if _, err := p.Authenticate(t.Context(), credentials("alice", "alice!", "192.0.2.1")); !errors.Is(err, ErrNotMine) {
		t.Error(err)
	}
}

func BenchmarkLogin(b *testing.B) {
	for _, algo := range []Algorithm{Argon2id, SHA512PBKDF2, ScramSHA256} {
		hash, err := HashPassword(algo, "p", 0)
		if err != nil {
			b.Fatal(err)
		}
		path := filepath.Join(b.TempDir(), "passwords")
		f := NewPasswordFile(path)
		f.Set("u", hash)
		f.Write()
		p, err := OpenPasswords(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(algo)+"/first", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				p.Authenticate(b.Context(), credentials("u", fmt.Sprint(i), "192.0.2.1"))
			}
		})
		b.Run(string(algo)+"/again", func(b *testing.B) {
			for b.Loop() {
				p.Authenticate(b.Context(), credentials("u", "p", "192.0.2.1"))
			}
		})
	}
}

// A file that is opened again, as at each reload, costs those who were there
// before nothing.
func TestOpenAgain(t *testing.T) {
	p := passwords(t, "alice=argon2id")
	for want := int64(1); want >= 0; want-- {
		if _, err := p.Authenticate(t.Context(), credentials("alice", "alice!", "192.0.2.1")); err != nil || p.checks.Load() != want {
			t.Errorf("%v, %d hashes computed, want %d", err, p.checks.Load(), want)
		}
		var err error
		if p, err = OpenPasswords(p.path); err != nil {
			t.Fatal(err)
		}
	}
}
