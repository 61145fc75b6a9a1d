// Package jwt lets clients in that show a signed token (RFC 7519) as their
// password, and to what the token allows, for as long as it lasts.
package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/mqtt"
)

// A Config says which tokens are taken.
type Config struct {
	// Algorithms that tokens may be signed with: of HS256, HS384, HS512,
	// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA.
	// There is no default, and "none" is not to be had.
	Algorithms []string

	// Secret is the shared one of the HS algorithms, 32 bytes or more.
	Secret []byte

	// KeyFiles are JSON Web Key Sets, and PEM files with public keys or
	// certificates. A token that names a key (kid) is checked against the keys
	// of that name and those without one, any other against all.
	KeyFiles []string

	// Issuer and Audience are what iss has to be and aud has to contain; "":
	// anything.
	Issuer, Audience string

	// Leeway is how far clocks may be apart; 0: 5 s; negative: not at all.
	Leeway time.Duration

	// AllowEndless takes tokens without an end (exp), too.
	AllowEndless bool

	// Names of claims, with dots where they lie deeper: "mqtt.publish". The
	// defaults are in brackets.

	UserClaim      string // who the client is [sub]
	ClientClaim    string // the client identifier that CONNECT has to have [none]
	GroupsClaim    string // a list, or words in a string [groups]
	PublishClaim   string // a list of filters [publish]
	SubscribeClaim string // a list of filters [subscribe]
}

// Tokens is an [auth.Authenticator] of tokens in CONNECT's password, and the
// [auth.Method] "JWT", by which a client may show a new token before the old
// one ends. A user name in CONNECT has to be the token's.
//
// A token with one of the two lists of filters, empty or null as it may be,
// allows what they say and nothing else, unless the policy's rules say otherwise; one with neither
// leaves it all to the rules.
type Tokens struct {
	set    Config
	parser *jwt.Parser
	names  string // of the claims that are read
	keys   atomic.Pointer[[]*key]
	now    func() time.Time
}

// Open reads the keys. An error says what is wrong with the configuration.
func Open(c Config) (*Tokens, error) {
	t := &Tokens{set: c, now: time.Now}
	for name, def := range map[*string]string{
		&t.set.UserClaim: "sub", &t.set.GroupsClaim: "groups", &t.set.PublishClaim: "publish", &t.set.SubscribeClaim: "subscribe",
	} {
		if *name == "" {
			*name = def
		}
	}
	if t.set.Leeway == 0 {
		t.set.Leeway = 5 * time.Second
	}
	t.set.Leeway = max(t.set.Leeway, 0)
	if len(c.Algorithms) == 0 {
		return nil, errors.New("auth/jwt: say which algorithms tokens may be signed with")
	}
	known := slices.Concat(hmacAlgs, rsaAlgs, edAlgs, []string{"ES256", "ES384", "ES512"})
	for _, a := range c.Algorithms {
		if !slices.Contains(known, a) {
			return nil, fmt.Errorf("auth/jwt: algorithm %q is none of %s", a, strings.Join(known, " "))
		}
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(c.Algorithms), jwt.WithLeeway(t.set.Leeway), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return t.now() }),
	}
	if !c.AllowEndless {
		options = append(options, jwt.WithExpirationRequired())
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	t.parser = jwt.NewParser(options...)
	t.names = fmt.Sprintf("%q", []string{t.set.UserClaim, t.set.ClientClaim, t.set.GroupsClaim, t.set.PublishClaim, t.set.SubscribeClaim})
	return t, t.Reload()
}

// Reload reads the key files again. On an error everything stays as it was.
// [auth.Guard.Apply] then ends the connections of clients whose key is gone.
func (t *Tokens) Reload() error {
	var all []*key
	if t.set.Secret != nil {
		k, err := newKey("", t.set.Secret)
		if err != nil {
			return fmt.Errorf("auth/jwt: %w", err)
		}
		all = append(all, k)
	}
	for _, path := range t.set.KeyFiles {
		keys, err := keysOf(path)
		if err != nil {
			return fmt.Errorf("auth/jwt: %w", err)
		}
		all = append(all, keys...)
	}
	for _, a := range t.set.Algorithms {
		if !slices.ContainsFunc(all, func(k *key) bool { return slices.Contains(k.algs, a) }) {
			return fmt.Errorf("auth/jwt: there is no key for %s", a)
		}
	}
	t.keys.Store(&all)
	return nil
}

// Authenticate is [auth.Authenticator].
func (t *Tokens) Authenticate(_ context.Context, c *midge.Connect) (*auth.Identity, error) {
	if !looksLikeToken(c.Password) {
		return nil, auth.ErrNotMine
	}
	return t.identify(c, string(c.Password))
}

// looksLikeToken tells a token from a password: three parts, the first of
// which is a JSON object.
func looksLikeToken(p []byte) bool {
	return strings.HasPrefix(string(p), "eyJ") && strings.Count(string(p), ".") == 2
}

// Name is [auth.Method].
func (t *Tokens) Name() string { return "JWT" }

// Begin is [auth.Method].
func (t *Tokens) Begin(c *midge.Connect) auth.Steps { return steps{t, c} }

type steps struct {
	t *Tokens
	c *midge.Connect
}

func (s steps) Step(_ context.Context, data []byte) ([]byte, *auth.Identity, error) {
	id, err := s.t.identify(s.c, string(data))
	return nil, id, err
}

// identify checks a token and reads what it says.
func (t *Tokens) identify(c *midge.Connect, text string) (*auth.Identity, error) {
	claims := jwt.MapClaims{}
	var by *key
	token, err := t.parser.ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		var err error
		by, err = t.find(token, text)
		if err != nil {
			return nil, err
		}
		return by.value, nil
	})
	if err != nil {
		return nil, refused(err)
	}
	proof := tokenProof{print: by.print, alg: token.Method.Alg(), names: t.names, endless: true}
	proof.issuer, _ = claims.GetIssuer() // one that is no string is nobody's
	proof.audience, _ = claims.GetAudience()
	id := new(auth.Identity)
	if id.User, err = stringClaim(claims, t.set.UserClaim); err != nil || id.User == "" {
		return nil, refused(fmt.Errorf("claim %s is no name: %w", t.set.UserClaim, err))
	}
	if c.HasUsername && c.Username != "" && c.Username != id.User {
		return nil, refused(errors.New("the user name of CONNECT is another"))
	}
	if t.set.ClientClaim != "" {
		if client, err := stringClaim(claims, t.set.ClientClaim); err != nil || client != c.ClientID {
			return nil, refused(errors.New("the token is another client's"))
		}
	}
	if end, _ := claims.GetExpirationTime(); end != nil {
		id.Until, proof.endless = end.Add(t.set.Leeway), false
	}
	id.Proof = proof
	if err := t.permissions(claims, id); err != nil {
		return nil, err
	}
	return id, nil
}

// find picks the key that signed a token. Where several could have, each is
// tried: it costs the attacker nothing, but there are as many as the operator
// put there.
func (t *Tokens) find(token *jwt.Token, text string) (*key, error) {
	kid, _ := token.Header["kid"].(string)
	var fit []*key
	for _, k := range *t.keys.Load() {
		if slices.Contains(k.algs, token.Method.Alg()) && (kid == "" || k.id == "" || k.id == kid) {
			fit = append(fit, k)
		}
	}
	signed := text[:strings.LastIndexByte(text, '.')]
	for _, k := range fit {
		if len(fit) == 1 || token.Method.Verify(signed, token.Signature, k.value) == nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("no key for kid %q and %s", kid, token.Method.Alg())
}

func (t *Tokens) permissions(claims jwt.MapClaims, id *auth.Identity) error {
	var p auth.Permissions
	var errs [3]error
	var may [2]bool
	p.Publish, may[0], errs[0] = listClaim(claims, t.set.PublishClaim)
	p.Subscribe, may[1], errs[1] = listClaim(claims, t.set.SubscribeClaim)
	id.Groups, _, errs[2] = listClaim(claims, t.set.GroupsClaim)
	if err := errors.Join(errs[:]...); err != nil {
		return refused(err)
	}
	if may[0] || may[1] {
		id.Permissions = &p
	}
	return nil
}

// refused tells the client no more than that; the log learns why.
func refused(err error) error {
	return fmt.Errorf("auth/jwt: %w: %w", err, &midge.Refusal{Code: mqtt.NotAuthorized, Reason: "the token is not accepted"})
}

// at follows a claim's dotted name. A claim that has the dots in its own name
// comes first, as those that are URLs do.
func at(claims map[string]any, name string) (any, bool) {
	if v, ok := claims[name]; ok {
		return v, true
	}
	first, rest, deeper := strings.Cut(name, ".")
	if !deeper {
		return nil, false
	}
	inner, _ := claims[first].(map[string]any)
	return at(inner, rest)
}

func stringClaim(claims jwt.MapClaims, name string) (string, error) {
	v, _ := at(claims, name)
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("claim %s is no string", name)
	}
	return s, nil
}

// listClaim reads a list of strings, or one string of words. A null is an empty
// list, as many a language writes it.
func listClaim(claims jwt.MapClaims, name string) (list []string, there bool, err error) {
	v, there := at(claims, name)
	switch v := v.(type) {
	case nil:
		return nil, there, nil
	case string:
		return strings.Fields(v), true, nil
	case []any:
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, there, fmt.Errorf("claim %s has something in it that is no string", name)
			}
			list = append(list, s)
		}
		return list, true, nil
	}
	return nil, there, fmt.Errorf("claim %s is no list", name)
}
