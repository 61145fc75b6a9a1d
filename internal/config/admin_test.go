package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAdmin(t *testing.T) {
	for url, want := range map[string]struct{ local, clear bool }{
		"http://127.0.0.1:1":  {true, false},
		"http://localhost:1":  {true, false},
		"http://[::1]:1":      {true, false},
		"unix:///run/x":       {true, false},
		"http://:1":           {false, true},
		"http://192.0.2.1:1":  {false, true},
		"https://192.0.2.1:1": {false, false},
	} {
		a := Admin{URL: url}
		if a.Local() != want.local || a.Clear() != want.clear {
			t.Errorf("%s: local %v, clear %v", url, a.Local(), a.Clear())
		}
	}
}

func TestAdminToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	a := Admin{TokenFile: file}
	if _, err := a.Token(); err == nil {
		t.Error("a file that is not there has a token")
	}
	for text, want := range map[string]string{"0123456789abcdef\r\n": "0123456789abcdef", "short\n": ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := a.Token()
		if got != want || (err == nil) != (want != "") || err != nil && !strings.Contains(err.Error(), "openssl rand") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
