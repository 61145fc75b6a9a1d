package jwt

import (
	"slices"

	"github.com/midgemq/midge/auth"
)

// tokenProof is what a token was taken for: a configuration that would not take
// it, or would read it otherwise, ends what it began.
type tokenProof struct {
	print, alg string // of the key
	issuer     string
	audience   []string
	endless    bool
	names      string // of the claims that were read
}

// Stays is [auth.Authenticator].
func (t *Tokens) Stays(id *auth.Identity) error {
	p, ours := id.Proof.(tokenProof)
	if !ours || p.names != t.names || p.endless && !t.set.AllowEndless ||
		t.set.Issuer != "" && p.issuer != t.set.Issuer ||
		t.set.Audience != "" && !slices.Contains(p.audience, t.set.Audience) ||
		!slices.Contains(t.set.Algorithms, p.alg) ||
		!slices.ContainsFunc(*t.keys.Load(), func(k *key) bool { return k.print == p.print && slices.Contains(k.algs, p.alg) }) {
		return auth.ErrNotMine
	}
	return nil
}
