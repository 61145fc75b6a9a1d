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
	if good, _ := m.recall("alice", d("alice", "right")); !good {
		t.Error("failures pushed alice out")
	}
	for i := range goodKept + 10 {
		m.remember(fmt.Sprint(i), d("x"), true)
	}
	if len(m.good) != goodKept {
		t.Errorf("%d", len(m.good))
	}
}
