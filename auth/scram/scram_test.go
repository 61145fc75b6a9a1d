package scram

import (
	"errors"
	"fmt"
	"testing"
)

// RFC 7677, 3: user "user", password "pencil".
const (
	clientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	serverFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	clientFinal = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	serverFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

func fixed(n string) func() string { return func() string { return n } }

func vector(t *testing.T) *Verifier {
	t.Helper()
	salt, err := b64.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	v, err := Derive("pencil", salt, 4096)
	if err != nil || !v.Matches("pencil") || v.Matches("pencils") {
		t.Fatal(v, err)
	}
	return v
}

func TestVector(t *testing.T) {
	v := vector(t)
	s := NewServer(func(string) *Verifier { return v }, nil)
	s.nonce = fixed("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
	c := NewClient("user", "pencil")
	c.nonce = fixed("rOprNGfwEbeRWgbNEkqO")

	first, _ := c.Start(t.Context())
	challenge, done, err := s.Step(first)
	if string(first) != clientFirst || string(challenge) != serverFirst || done || err != nil {
		t.Fatalf("%s\n%s %v %v", first, challenge, done, err)
	}
	final, err := c.Continue(t.Context(), challenge)
	if string(final) != clientFinal || err != nil {
		t.Fatalf("%s %v", final, err)
	}
	consent, done, err := s.Step(final)
	if string(consent) != serverFinal || !done || err != nil || s.User() != "user" {
		t.Fatalf("%s %v %v", consent, done, err)
	}
	if err := c.Finish(t.Context(), consent); err != nil {
		t.Fatal(err)
	}
	if _, done, err := s.Step(final); done || err == nil {
		t.Error("a third step")
	}
}

func TestServerRefuses(t *testing.T) {
	v := vector(t)
	for _, c := range []struct {
		first, final string
		want         error
	}{
		{"", "", ErrMalformed},
		{"n", "", ErrMalformed},
		{"n,,", "", ErrMalformed},
		{"n,,n=user", "", ErrMalformed},
		{"n,,n=user,r=", "", ErrMalformed},
		{"n,,n=us=er,r=x", "", ErrMalformed},
		{"n,,m=ext,n=user,r=x", "", ErrMalformed},
		{"x,,n=user,r=x", "", ErrMalformed},
		{"n,a=other,n=user,r=x", "", ErrMalformed},
		{"p=tls-unique,,n=user,r=x", "", ErrBinding},
		{clientFirst, "", ErrMalformed},
		{clientFirst, "c=biws,r=wrong,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ErrMalformed},
		{"y,,n=user,r=rOprNGfwEbeRWgbNEkqO", clientFinal, ErrMalformed}, // the header was changed on the way
		{clientFirst, clientFinal[:len(clientFinal)-3] + "A==", ErrMalformed},
		{clientFirst, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=AHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ErrProof},
	} {
		s := NewServer(func(string) *Verifier { return v }, nil)
		s.nonce = fixed("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
		_, done, err := s.Step([]byte(c.first))
		if err == nil {
			_, done, err = s.Step([]byte(c.final))
		}
		if done || !errors.Is(err, c.want) {
			t.Errorf("%q %q: %v, want %v", c.first, c.final, err, c.want)
		}
	}
}

// Who does not exist is challenged like everyone, the same way every time, and
// refused even if the decoy's keys could be guessed.
func TestServerHidesWhoExists(t *testing.T) {
	challenge := func(user string) (string, *Server) {
		s := NewServer(func(string) *Verifier { return nil }, []byte("0123456789abcdef"))
		s.nonce = fixed("s")
		out, _, err := s.Step([]byte("n,,n=" + user + ",r=c"))
		if err != nil {
			t.Fatal(err)
		}
		return string(out), s
	}
	a, _ := challenge("a")
	again, s := challenge("a")
	other, _ := challenge("b")
	if a != again || a == other {
		t.Errorf("%s\n%s\n%s", a, again, other)
	}
	counts := map[int]bool{}
	for i := range 100 {
		s := NewServer(func(string) *Verifier { return nil }, []byte("0123456789abcdef"), 5000, 6000)
		s.Step(fmt.Appendf(nil, "n,,n=%d,r=c", i))
		counts[s.verifier.Iterations] = true
	}
	if len(counts) != 2 || !counts[5000] || !counts[6000] {
		t.Errorf("they have iterations of their own: %v", counts)
	}
	c := NewClient("a", "guess")
	c.nonce = fixed("c")
	c.Start(t.Context())
	final, err := c.Continue(t.Context(), []byte(a))
	if err != nil {
		t.Fatal(err)
	}
	if _, done, err := s.Step(final); done || !errors.Is(err, ErrProof) {
		t.Error(done, err)
	}
}

func TestClientRefuses(t *testing.T) {
	for _, challenge := range []string{
		"", "r=c", "r=other,s=W22Z,i=4096", "r=c,s=W22Z,i=4096", "r=cs,s=,i=4096", "r=cs,s=W22Z,i=10",
		"r=cs,s=W22Z,i=999999999", "r=cs,s=?,i=4096", "m=x,r=cs,s=W22Z,i=4096",
	} {
		c := NewClient("u", "p")
		c.nonce = fixed("c")
		c.Start(t.Context())
		if _, err := c.Continue(t.Context(), []byte(challenge)); err == nil {
			t.Errorf("%q was answered", challenge)
		}
		if c.Finish(t.Context(), []byte(serverFinal)) == nil {
			t.Errorf("%q: a server without a challenge", challenge)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "a,b=c", "=2C", "ä"} {
		if got, ok := unescape(escape(name)); !ok || got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
	for _, bad := range []string{"", "a=b", "=2c"} {
		if _, ok := unescape(bad); ok {
			t.Errorf("%q is a name", bad)
		}
	}
}
