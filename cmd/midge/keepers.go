package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"time"
	"unicode"

	"github.com/midgemq/midge/auth/jwt"
	"github.com/midgemq/midge/auth/web"
	"github.com/midgemq/midge/internal/config"
)

// keepers are asked at every listener: those who know tokens, and a service.
type keepers struct {
	tokens  *jwt.Tokens // nil: none
	service *web.Service
	asked   web.Config // by service
}

// newKeepers makes those of a configuration. A service that is the same stays,
// with the answers it remembers.
func newKeepers(c *config.Config, before *keepers) (k *keepers, err error) {
	k = new(keepers)
	if j := &c.JWT; len(j.Algorithms) > 0 {
		o := jwt.Config{
			Algorithms: j.Algorithms, KeyFiles: j.KeyFiles, Issuer: j.Issuer, Audience: j.Audience, Leeway: time.Duration(j.Leeway),
			AllowEndless: j.AllowEndless, UserClaim: j.UserClaim, ClientClaim: j.ClientClaim, GroupsClaim: j.GroupsClaim,
			PublishClaim: j.PublishClaim, SubscribeClaim: j.SubscribeClaim,
		}
		if o.Secret, err = secret("jwt.secret_file", j.SecretFile); err != nil {
			return k, err
		}
		if k.tokens, err = jwt.Open(o); err != nil {
			return k, err
		}
	}
	if c.HTTP.URL == "" {
		return k, nil
	}
	if k.asked, err = askHow(&c.HTTP); err != nil {
		return k, err
	}
	if before != nil && before.service != nil && reflect.DeepEqual(before.asked, k.asked) {
		k.service = before.service
		return k, nil
	}
	k.service, err = web.Open(k.asked)
	return k, err
}

// askHow is how a service is asked.
func askHow(h *config.HTTP) (web.Config, error) {
	o := web.Config{URL: h.URL, Timeout: time.Duration(h.Timeout), TTL: time.Duration(h.TTL), NegativeTTL: time.Duration(h.NegativeTTL)}
	if h.WhenDown == "next" {
		o.WhenDown = web.AskNext
	}
	token, err := secret("http.token_file", h.TokenFile)
	if err == nil && token != nil {
		if len(token) == 0 || bytes.ContainsFunc(token, unicode.IsControl) {
			return o, fmt.Errorf("http.token_file: %s holds no token: want one line", h.TokenFile)
		}
		o.Header = http.Header{"Authorization": {"Bearer " + string(token)}}
	}
	return o, err
}

// secret reads a file of one line.
func secret(key, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return bytes.TrimRight(text, "\r\n"), nil
}
