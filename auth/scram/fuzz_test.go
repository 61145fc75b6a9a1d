package scram

import (
	"bytes"
	"testing"
)

// No message of a client that does not know the password convinces.
func FuzzServer(f *testing.F) {
	f.Add([]byte(clientFirst), []byte(clientFinal))
	f.Add([]byte("y,a=user,n=user,r=x,ext=1"), []byte("c=biws,r=x,p=AAAA"))
	v, err := Derive("pencil", []byte("0123456789abcdef"), MinIterations)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, final []byte) {
		s := NewServer(func(string) *Verifier { return v }, nil)
		challenge, done, err := s.Step(first)
		if done || err != nil {
			return
		}
		if !bytes.HasPrefix(challenge, []byte("r=")) {
			t.Fatalf("%q", challenge)
		}
		if _, done, _ := s.Step(final); done {
			t.Errorf("%q and %q are let in", first, final)
		}
	})
}
