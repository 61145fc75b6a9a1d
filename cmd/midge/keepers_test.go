package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge/auth/web"
)

// The configuration brings in tokens, and a service that is asked.
func TestTokensAndService(t *testing.T) {
	asked := make(chan web.Request, 10)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q web.Request
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Header.Get("Authorization") != "Bearer between us" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		asked <- q
		answer := web.Response{Result: "deny"}
		if q.Username == "alice" && q.Password == "a" {
			answer = web.Response{Result: "allow", Publish: []string{"alice/#"}}
		}
		json.NewEncoder(w).Encode(answer)
	}))
	defer service.Close()
	dir := t.TempDir()
	key := strings.Repeat("k", 32)
	writeFile(t, filepath.Join(dir, "secret"), key+"\n")
	writeFile(t, filepath.Join(dir, "token"), "between us\n")
	file := filepath.Join(dir, "m.toml")
	writeFile(t, file, fmt.Sprintf(`
[[listener]]
url = "tcp://127.0.0.1:0"
allow_anonymous = false
[jwt]
algorithms = ["HS256"]
secret_file = "secret"
[http]
url = %q
token_file = "token"
`, service.URL))
	urls := serving(t, "serve", "-c", file)
	host, port, _ := strings.Cut(strings.TrimPrefix(urls[0], "tcp://"), ":")
	token := signed(key, fmt.Sprintf(`{"sub":"esp","exp":%d,"publish":["esp/#"]}`, time.Now().Add(time.Hour).Unix()))
	for _, c := range []struct {
		user, password, topic string
		code                  int
	}{
		{"esp", token, "esp/1", exitOK},
		{"esp", token, "alice/1", exitFailed},
		{"esp", signed("other"+key, `{"sub":"esp","exp":9999999999}`), "esp/1", exitFailed},
		{"alice", "a", "alice/1", exitOK},
		{"alice", "a", "esp/1", exitFailed},
		{"alice", "b", "alice/1", exitFailed},
	} {
		code, _, errs := runFor(t, "pub", "-V", "5", "-h", host, "-p", port, "-u", c.user, "-P", c.password, "-t", c.topic, "-m", "x", "-q", "1")
		if (code == exitOK) != (c.code == exitOK) {
			t.Errorf("%s to %s: exit %d: %s", c.user, c.topic, code, errs)
		}
	}
	if q := <-asked; q.Username != "alice" && q.Username != "esp" {
		t.Errorf("%+v", q)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// signed is a token of HS256.
func signed(key, claims string) string {
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64.EncodeToString([]byte(claims))
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return text + "." + b64.EncodeToString(h.Sum(nil))
}
