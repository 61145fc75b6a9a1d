package admin_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
)

// Who may ask, and what those who may not are told.
func TestGate(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, midge.Config{}, func(c *admin.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	const token = "correct horse battery staple"
	for _, c := range []struct {
		name, token, remote, host, auth, path string
		header                                http.Header
		method                                string
		want                                  int
		do                                    string // in the answer
	}{
		{name: "this machine", remote: "127.0.0.1:1", want: 200},
		{name: "this machine, IPv6", remote: "[::1]:1", host: "[::1]:9883", want: 200},
		{name: "mapped", remote: "[::ffff:127.0.0.1]:1", want: 200},
		{name: "another machine", remote: "192.0.2.1:1", want: 403, do: "set token_file"},
		{name: "a name pointed here", remote: "127.0.0.1:1", host: "evil.example:9883", want: 403, do: "localhost"},
		{name: "another site's page", remote: "127.0.0.1:1", method: "DELETE", path: "/api/v1/clients?id=x", header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, want: 403, do: "from a page of this address"},
		{name: "another site's picture", remote: "127.0.0.1:1", path: "/api/v1/trace?for=24h", header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, want: 403},
		{name: "another port's page", remote: "127.0.0.1:1", header: http.Header{"Sec-Fetch-Site": {"same-site"}}, want: 403},
		{name: "typed into a browser", remote: "127.0.0.1:1", header: http.Header{"Sec-Fetch-Site": {"none"}}, want: 200},
		{name: "somebody behind a proxy", remote: "127.0.0.1:1", header: http.Header{"X-Forwarded-For": {"192.0.2.1"}}, want: 403, do: "set token_file"},
		{name: "no token", token: token, remote: "127.0.0.1:1", want: 401, do: "Authorization: Bearer"},
		{name: "wrong token", token: token, remote: "127.0.0.1:1", auth: "Bearer " + token + "r", want: 401, do: "token_file"},
		{name: "another scheme", token: token, remote: "127.0.0.1:1", auth: "Basic " + token, want: 401},
		{name: "token", token: token, remote: "192.0.2.1:1", host: "broker.example", auth: "Bearer " + token, want: 200},
		{name: "token, small b", token: token, remote: "192.0.2.1:1", auth: "bearer " + token, want: 200},
		{name: "health, from anywhere", token: token, remote: "192.0.2.1:1", path: "/healthz", want: 200},
		{name: "readiness, from anywhere", remote: "192.0.2.1:1", path: "/readyz", want: 200},
		{name: "not health", token: token, remote: "192.0.2.1:1", path: "/healthz/../metrics", want: 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.h.SetToken(c.token)
			if c.path == "" {
				c.path = "/metrics"
			}
			if c.method == "" {
				c.method = "GET"
			}
			r := request(c.method, c.path)
			r.RemoteAddr = c.remote
			if c.host != "" {
				r.Host = c.host
			}
			for k, v := range c.header {
				r.Header[k] = v
			}
			if c.auth != "" {
				r.Header.Set("Authorization", c.auth)
			}
			rec := httptest.NewRecorder()
			w.h.ServeHTTP(rec, r)
			if rec.Code != c.want || !strings.Contains(rec.Body.String(), c.do) {
				t.Errorf("%d %s, want %d and %q", rec.Code, rec.Body, c.want, c.do)
			}
			if c.want < 400 {
				return
			}
			var p struct{ Error, Do string }
			if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Error == "" || p.Do == "" {
				t.Errorf("%s: %v", rec.Body, err)
			}
			if challenge := rec.Header().Get("WWW-Authenticate"); (challenge != "") != (c.want == 401) {
				t.Errorf("WWW-Authenticate is %q", challenge)
			}
		})
	}
	if n := strings.Count(log.String(), "remote=192.0.2.1 "); n != 1 {
		t.Errorf("the log has %d lines of one address, want one:\n%s", n, &log)
	}
}

func TestFrontListsPages(t *testing.T) {
	w := newWorld(t, midge.Config{}, func(c *admin.Config) { c.Profiles = true })
	text := w.ask("GET", "/").Body.String()
	for _, want := range []string{"GET /metrics", "GET /readyz", "DELETE /api/v1/clients/{id}", "GET /debug/pprof/"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for path, want := range map[string]int{"/nothing": 404, "/debug/pprof/": 200, "/debug/pprof/heap?debug=1": 200, "/debug/pprof/none": 404} {
		if got := w.ask("GET", path).Code; got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	if got := newWorld(t, midge.Config{}).ask("GET", "/debug/pprof/heap").Code; got != 404 {
		t.Errorf("profiles that were not asked for: %d", got)
	}
}
