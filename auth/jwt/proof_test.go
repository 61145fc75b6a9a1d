package jwt

import (
	"errors"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/midgemq/midge/auth"
)

// Whoever came in by a token that would not be taken now, or would be read
// otherwise, does not stay; everybody else does.
func TestStays(t *testing.T) {
	base := Config{Algorithms: []string{"HS256", "HS512"}, Secret: secret, AllowEndless: true}
	with := func(change func(c *Config)) Config {
		c := base
		change(&c)
		return c
	}
	token := sign(t, jwt.SigningMethodHS512, secret, "", m{"iss": "us", "aud": []string{"web", "mqtt"}})
	endless := sign(t, jwt.SigningMethodHS256, secret, "", m{"exp": nil})
	first := open(t, base)
	for _, c := range []struct {
		name  string
		token string
		next  Config
		stays bool
	}{
		{"the same", token, base, true},
		{"issuer, audience", token, with(func(c *Config) { c.Issuer, c.Audience = "us", "mqtt" }), true},
		{"another algorithm", token, with(func(c *Config) { c.Algorithms = []string{"HS512", "HS384"} }), true},
		{"an end is wanted", token, with(func(c *Config) { c.AllowEndless = false }), true},
		{"another issuer", token, with(func(c *Config) { c.Issuer = "them" }), false},
		{"another audience", token, with(func(c *Config) { c.Audience = "tv" }), false},
		{"algorithm withdrawn", token, with(func(c *Config) { c.Algorithms = []string{"HS256"} }), false},
		{"secret withdrawn", token, with(func(c *Config) { c.Secret = append([]byte("x"), secret...) }), false},
		{"another user claim", token, with(func(c *Config) { c.UserClaim = "name" }), false},
		{"a client claim", token, with(func(c *Config) { c.ClientClaim = "cid" }), false},
		{"endless", endless, base, true},
		{"endless no more", endless, with(func(c *Config) { c.AllowEndless = false }), false},
		{"no issuer", endless, with(func(c *Config) { c.Issuer = "us" }), false},
	} {
		id, err := show(first, c.token)
		if err != nil {
			t.Fatal(err)
		}
		if err := open(t, c.next).Stays(id); (err == nil) != c.stays || err != nil && !errors.Is(err, auth.ErrNotMine) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A list that is there as null allows nothing.
func TestNullAllowsNothing(t *testing.T) {
	tokens := open(t, Config{Algorithms: []string{"HS256"}, Secret: secret})
	text := sign(t, jwt.SigningMethodHS256, secret, "", m{"publish": []string(nil)})
	if id, err := show(tokens, text); err != nil || id.Permissions == nil {
		t.Errorf("%+v, %v", id, err)
	}
}
