package auth

import (
	"fmt"
	"testing"
)

func TestMemo(t *testing.T) {
	m := newMemo()
	d := func(parts ...string) digest {
		var all [][]byte
		for _, p := range parts {
			all = append(all, []byte(p))
		}
		return m.digest(all...)
	}
	if d("a", "bc") == d("ab", "c") || newMemo().digest([]byte("a")) == d("a") {
		t.Error("digests")
	}
	m.remember("alice", d("alice", "right"), true)
	m.remember("alice", d("alice", "wrong"), false)
	for _, c := range []struct{ password, user, want string }{
		{"right", "alice", "true true"}, {"wrong", "alice", "false true"}, {"new", "alice", "false false"},
	} {
		good, known := m.recall(c.user, d(c.user, c.password))
		if got := fmt.Sprint(good, known); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	for i := range 2 * badKept {
		m.remember("x", d(fmt.Sprint(i)), false)
		m.remember("x", d(fmt.Sprint(i)), false)
	}
	if len(m.bad) != badKept || len(m.ring) != badKept {
		t.Errorf("%d, %d", len(m.bad), len(m.ring))
	}
	if _, known := m.recall("x", d(fmt.Sprint(2*badKept-1))); !known {
		t.Error("the last is forgotten")
	}
	m.keep(func(user string) bool { return user != "alice" })
	if _, known := m.recall("alice", d("alice", "right")); known {
		t.Error("who is gone is remembered")
	}
}
