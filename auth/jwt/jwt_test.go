package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// keys for tests; RSA ones take their time.
var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return k })
	edKey  = sync.OnceValue(func() ed25519.PrivateKey { _, k, _ := ed25519.GenerateKey(rand.Reader); return k })
)

// m are claims.
type m = map[string]any

func raw(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwkOf writes a public key as its owner would publish it.
func jwkOf(kid string, key any) m {
	j := m{"kid": kid, "use": "sig"}
	switch k := key.(type) {
	case []byte:
		j["kty"], j["k"] = "oct", raw(k)
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", raw(k.N.Bytes()), raw([]byte{1, 0, 1})
	case *ecdsa.PublicKey:
		b, _ := k.Bytes()
		n := (len(b) - 1) / 2
		j["kty"], j["crv"], j["x"], j["y"] = "EC", k.Curve.Params().Name, raw(b[1:1+n]), raw(b[1+n:])
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", raw(k)
	}
	return j
}

func writeSet(t *testing.T, path string, keys ...m) string {
	t.Helper()
	data, err := json.Marshal(m{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, c Config) *Tokens {
	t.Helper()
	tokens, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// sign makes a token of alice's that lasts an hour, but for what claims say;
// nil takes a claim out.
func sign(t *testing.T, method jwt.SigningMethod, key any, kid string, claims m) string {
	t.Helper()
	all := jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	for name, v := range claims {
		if all[name] = v; v == nil {
			delete(all, name)
		}
	}
	token := jwt.NewWithClaims(method, all)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func show(tokens *Tokens, text string) (*auth.Identity, error) {
	return tokens.Authenticate(context.Background(), &midge.Connect{ClientID: "c", Password: []byte(text)})
}

// wantDenied wants a refusal that tells the client nothing.
func wantDenied(t *testing.T, name string, tokens *Tokens, text string) {
	t.Helper()
	id, err := show(tokens, text)
	var r *midge.Refusal
	if id != nil || !errors.As(err, &r) || r.Code != mqtt.NotAuthorized {
		t.Errorf("%s: %+v, %v", name, id, err)
	}
}

func TestAlgorithms(t *testing.T) {
	dir := t.TempDir()
	all := open(t, Config{
		Algorithms: []string{"HS256", "HS512", "RS256", "PS384", "ES256", "EdDSA"}, Secret: secret,
		KeyFiles: []string{writeSet(t, filepath.Join(dir, "set"),
			jwkOf("r", &rsaKey().PublicKey), jwkOf("e", &ecKey().PublicKey), jwkOf("d", edKey().Public()))},
	})
	for _, c := range []struct {
		method jwt.SigningMethod
		key    any
		kid    string
		good   bool
	}{
		{jwt.SigningMethodHS256, secret, "", true},
		{jwt.SigningMethodHS512, secret, "any", true}, // the secret has no name
		{jwt.SigningMethodHS384, secret, "", false},   // not configured
		{jwt.SigningMethodHS256, []byte("another"), "", false},
		{jwt.SigningMethodRS256, rsaKey(), "r", true},
		{jwt.SigningMethodRS256, rsaKey(), "", true},
		{jwt.SigningMethodRS256, rsaKey(), "e", false},
		{jwt.SigningMethodRS512, rsaKey(), "r", false},
		{jwt.SigningMethodPS384, rsaKey(), "r", true},
		{jwt.SigningMethodES256, ecKey(), "e", true},
		{jwt.SigningMethodEdDSA, edKey(), "d", true},
		{jwt.SigningMethodEdDSA, edKey(), "x", false},
	} {
		id, err := show(all, sign(t, c.method, c.key, c.kid, nil))
		if (err == nil) != c.good || err == nil && id.User != "alice" {
			t.Errorf("%s kid %q: %+v, %v", c.method.Alg(), c.kid, id, err)
		}
	}
}

// A public key is not taken for a secret, whatever the token's header says.
func TestAlgorithmConfusion(t *testing.T) {
	der, _ := x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, algorithms := range [][]string{{"RS256"}, {"RS256", "HS256"}} {
		c := Config{Algorithms: algorithms, KeyFiles: []string{path}}
		if len(algorithms) > 1 {
			c.Secret = secret
		}
		tokens := open(t, c)
		if _, err := show(tokens, sign(t, jwt.SigningMethodRS256, rsaKey(), "", nil)); err != nil {
			t.Error(err)
		}
		for _, asSecret := range [][]byte{text, der, rsaKey().N.Bytes()} {
			wantDenied(t, "public key as secret", tokens, sign(t, jwt.SigningMethodHS256, asSecret, "", nil))
		}
		wantDenied(t, "none", tokens, sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", nil))
		good := sign(t, jwt.SigningMethodRS256, rsaKey(), "", nil)
		wantDenied(t, "no signature", tokens, good[:strings.LastIndexByte(good, '.')+1])
		forged := strings.Split(good, ".")
		forged[1] = raw([]byte(`{"sub":"root","exp":99999999999}`))
		wantDenied(t, "other claims", tokens, strings.Join(forged, "."))
	}
}

func TestClaims(t *testing.T) {
	tokens := open(t, Config{Algorithms: []string{"HS256"}, Secret: secret, Issuer: "us", Audience: "mqtt", ClientClaim: "cid"})
	base := m{"iss": "us", "aud": []string{"web", "mqtt"}, "cid": "c"}
	with := func(name string, v any) string {
		claims := m{}
		for k, v := range base {
			claims[k] = v
		}
		claims[name] = v
		return sign(t, jwt.SigningMethodHS256, secret, "", claims)
	}
	if _, err := show(tokens, with("x", 1)); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	for _, c := range []struct {
		name string
		v    any
	}{
		{"exp", nil},
		{"exp", now - 10},
		{"exp", "soon"},
		{"nbf", now + 60},
		{"iss", nil},
		{"iss", "them"},
		{"aud", nil},
		{"aud", "web"},
		{"sub", nil},
		{"sub", ""},
		{"sub", 7},
		{"cid", "d"},
		{"cid", nil},
		{"publish", 7},
		{"publish", []any{"a", 7}},
		{"subscribe", m{}},
		{"groups", 1},
	} {
		wantDenied(t, fmt.Sprint(c), tokens, with(c.name, c.v))
	}
	if _, err := show(tokens, with("exp", now-3)); err != nil {
		t.Error("within the leeway:", err)
	}
	endless := open(t, Config{Algorithms: []string{"HS256"}, Secret: secret, AllowEndless: true})
	if id, err := show(endless, sign(t, jwt.SigningMethodHS256, secret, "", m{"exp": nil})); err != nil || !id.Until.IsZero() {
		t.Error(id, err)
	}
	for _, c := range []struct{ user, want string }{{"alice", ""}, {"", ""}, {"bob", "another"}} {
		_, err := endless.Authenticate(t.Context(), &midge.Connect{Username: c.user, HasUsername: true, Password: []byte(with("x", 1))})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.user, err)
		}
	}
	for _, other := range []string{"", "secret", "a.b", "eyJx", "ey.J.x"} {
		if _, err := show(tokens, other); !errors.Is(err, auth.ErrNotMine) {
			t.Errorf("%q: %v", other, err)
		}
	}
}

func TestPermissionClaims(t *testing.T) {
	tokens := open(t, Config{
		Algorithms: []string{"HS256"}, Secret: secret,
		PublishClaim: "mqtt.pub", SubscribeClaim: "https://us/mqtt.sub", GroupsClaim: "scope", UserClaim: "mqtt.name",
	})
	id, err := show(tokens, sign(t, jwt.SigningMethodHS256, secret, "", m{
		"mqtt": m{"pub": []string{"a/%c/#"}, "name": "bob"}, "https://us/mqtt.sub": []string{}, "scope": "crew ops",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := &auth.Permissions{Publish: []string{"a/%c/#"}}
	if id.User != "bob" || !reflect.DeepEqual(id.Groups, []string{"crew", "ops"}) || !reflect.DeepEqual(id.Permissions, want) {
		t.Errorf("%+v %+v", id, id.Permissions)
	}
	if id, err := show(tokens, sign(t, jwt.SigningMethodHS256, secret, "", m{"mqtt": m{"name": "bob"}})); err != nil || id.Permissions != nil {
		t.Error(id, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		os.WriteFile(path, []byte(text), 0o600)
		return path
	}
	private, _ := x509.MarshalPKCS8PrivateKey(edKey())
	small, _ := rsa.GenerateKey(rand.Reader, 1024)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	p224der, _ := x509.MarshalPKIXPublicKey(&p224.PublicKey)
	off := jwkOf("", &ecKey().PublicKey)
	off["x"], off["y"] = off["y"], off["x"]
	wrongAlg := jwkOf("", &rsaKey().PublicKey)
	wrongAlg["alg"] = "HS256"
	short := jwkOf("", edKey().Public())
	short["x"] = "AAAA"
	enc := jwkOf("", &ecKey().PublicKey)
	enc["use"] = "enc"
	for name, c := range map[string]Config{
		"which algorithms":      {Secret: secret},
		`"none"`:                {Algorithms: []string{"none"}, Secret: secret},
		"too short":             {Algorithms: []string{"HS256"}, Secret: secret[:31]},
		"no key for RS256":      {Algorithms: []string{"HS256", "RS256"}, Secret: secret},
		"no such file":          {Algorithms: []string{"RS256"}, KeyFiles: []string{filepath.Join(dir, "none")}},
		"neither PEM nor":       {Algorithms: []string{"RS256"}, KeyFiles: []string{file("text", "hello")}},
		"no key that verifies":  {Algorithms: []string{"RS256"}, KeyFiles: []string{file("empty", `{"keys":[{"kty":"??"}]}`)}},
		"keep it away":          {Algorithms: []string{"EdDSA"}, KeyFiles: []string{file("priv", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))}},
		"1024 bits":             {Algorithms: []string{"RS256"}, KeyFiles: []string{writeSet(t, filepath.Join(dir, "small"), jwkOf("", &small.PublicKey))}},
		"none of P-256":         {Algorithms: []string{"ES256"}, KeyFiles: []string{file("p224", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p224der})))}},
		"key 1":                 {Algorithms: []string{"ES256"}, KeyFiles: []string{writeSet(t, filepath.Join(dir, "off"), off)}},
		"not for HS256":         {Algorithms: []string{"RS256"}, KeyFiles: []string{writeSet(t, filepath.Join(dir, "alg"), wrongAlg)}},
		"x is not 32":           {Algorithms: []string{"EdDSA"}, KeyFiles: []string{writeSet(t, filepath.Join(dir, "short"), short)}},
		"no key that verifies ": {Algorithms: []string{"ES256"}, KeyFiles: []string{writeSet(t, filepath.Join(dir, "enc"), enc)}},
	} {
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPEM(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.pem")
	var text []byte
	for _, public := range []crypto.PublicKey{edKey().Public(), &ecKey().PublicKey} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)})...)
	os.WriteFile(path, text, 0o600)
	tokens := open(t, Config{Algorithms: []string{"EdDSA", "ES256", "RS256"}, KeyFiles: []string{path}})
	for method, key := range map[jwt.SigningMethod]any{jwt.SigningMethodEdDSA: edKey(), jwt.SigningMethodES256: ecKey(), jwt.SigningMethodRS256: rsaKey()} {
		if _, err := show(tokens, sign(t, method, key, "", nil)); err != nil {
			t.Errorf("%s: %v", method.Alg(), err)
		}
	}
}

// bearer is a client's end of the method JWT.
type bearer struct{ token func() string }

func (bearer) Method() string                          { return "JWT" }
func (b bearer) Start(context.Context) ([]byte, error) { return []byte(b.token()), nil }

func (bearer) Continue(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("no more to say")
}
func (bearer) Finish(context.Context, []byte) error { return nil }

// A token's end is the connection's, unless a newer one is shown; a key that
// is withdrawn ends it, too.
func TestConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := writeSet(t, filepath.Join(t.TempDir(), "set"), jwkOf("old", &ecKey().PublicKey), jwkOf("new", edKey().Public()))
		tokens := open(t, Config{Algorithms: []string{"ES256", "EdDSA"}, KeyFiles: []string{path}, Leeway: -1})
		guard := auth.New(auth.Policy{Authenticators: []auth.Authenticator{tokens}, Methods: []auth.Method{tokens}, Anonymous: auth.AnonymousNever})
		cfg := midge.Config{Listeners: []midge.Listener{}, SysInterval: -1, Logger: slog.New(slog.DiscardHandler)}
		guard.Install(&cfg.Hooks)
		b, err := midge.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		ln := transport.ListenPipe("jwt", 0)
		b.Serve(ln)
		dial := func(o client.Options) *client.Conn {
			o.Dial = func(ctx context.Context, _ *url.URL) (net.Conn, error) { return ln.Dial(ctx) }
			c, err := client.Dial(t.Context(), "mqtt://jwt", o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		}
		token := func(kid string, method jwt.SigningMethod, key any) string {
			return sign(t, method, key, kid, m{"exp": time.Now().Add(time.Minute).Unix(), "publish": []string{"t/%u"}})
		}
		old := func() string { return token("old", jwt.SigningMethodES256, ecKey()) }
		fresh := func() string { return token("new", jwt.SigningMethodEdDSA, edKey()) }
		p := dial(client.Options{Password: []byte(old())})
		q := dial(client.Options{Auth: bearer{fresh}})
		for topic, want := range map[string]mqtt.ReasonCode{"t/alice": mqtt.NoMatchingSubscribers, "t/bob": mqtt.NotAuthorized} {
			r, err := p.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1})
			if r.Code != want && (err == nil || !strings.Contains(err.Error(), want.String())) {
				t.Errorf("%s: %v, %v", topic, r.Code, err)
			}
		}
		<-time.After(50 * time.Second)
		if err := q.Reauthenticate(t.Context()); err != nil {
			t.Error(err)
		}
		<-time.After(15 * time.Second)
		<-p.Done()
		if !strings.Contains(p.Err().Error(), mqtt.MaximumConnectTime.String()) {
			t.Error(p.Err())
		}
		s := dial(client.Options{Password: []byte(old())})
		writeSet(t, path, jwkOf("new", edKey().Public()))
		if err := tokens.Reload(); err == nil {
			t.Error("no key for ES256 is no error")
		}
		other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		writeSet(t, path, jwkOf("new", edKey().Public()), jwkOf("newer", &other.PublicKey))
		if err := tokens.Reload(); err != nil {
			t.Fatal(err)
		}
		if gone := guard.Apply(b, guard.Policy()); len(gone) != 1 {
			t.Errorf("%+v", gone)
		}
		<-s.Done()
		if q.Err() != nil {
			t.Error(q.Err())
		}
	})
}

func ExampleOpen() {
	tokens, err := Open(Config{Algorithms: []string{"HS256"}, Secret: []byte("at least thirty-two bytes of secret"), Issuer: "https://login.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard := auth.New(auth.Policy{Authenticators: []auth.Authenticator{tokens}, Methods: []auth.Method{tokens}})
	var cfg midge.Config
	guard.Install(&cfg.Hooks)
	err = cfg.Hooks.Authenticate(context.Background(), &midge.Connect{Password: []byte("eyJhbGciOiJub25lIn0.e30.")})
	fmt.Println(err != nil)
	// Output: true
}
