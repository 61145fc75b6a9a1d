package config

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net/url"
	"os"
)

// leastToken is what a token has at least: 16 random bytes cannot be guessed.
const leastToken = 16

func (a *Admin) check(fail func(key, format string, args ...any)) {
	if a.URL == "" {
		return
	}
	u, err := url.Parse(a.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "unix":
		fail("url", "%q: want http://host:port, https://host:port or unix:///path", a.URL)
		return
	case u.Scheme == "unix" && u.Path == "":
		fail("url", "%q names no file", a.URL)
	case u.Scheme != "unix" && u.Port() == "":
		fail("url", "%q has no port", a.URL)
	case u.Scheme != "unix" && u.Path != "" && u.Path != "/":
		fail("url", "%q: it is served at the root, not at %s", a.URL, u.Path)
	}
	if !a.Local() && a.TokenFile == "" {
		fail("token_file", "%s is for other machines, too: that takes a token (openssl rand -hex 32 > FILE)", a.URL)
	}
	switch {
	case u.Scheme == "https" && (a.Cert == "" || a.Key == ""):
		fail("cert", "https needs cert and key")
	case u.Scheme != "https" && (a.Cert != "" || a.Key != ""):
		fail("cert", "is for https, and this is %s", a.URL)
	}
	if _, err := a.Mode(); err != nil {
		fail("unix_mode", "%w", err)
	}
}

// Local reports whether nobody from elsewhere can ask.
func (a *Admin) Local() bool { return (&Listener{URL: a.URL}).Local() }

// Clear reports whether the token goes over a network as it is.
func (a *Admin) Clear() bool {
	u, err := url.Parse(a.URL)
	return err == nil && u.Scheme == "http" && !a.Local()
}

// Mode is unix_mode.
func (a *Admin) Mode() (fs.FileMode, error) { return parseMode(a.UnixMode) }

// Token reads token_file; "" without one.
func (a *Admin) Token() (string, error) {
	if a.TokenFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(a.TokenFile)
	if err != nil {
		return "", fmt.Errorf("admin.token_file: %w", err)
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) < leastToken {
		return "", fmt.Errorf("admin.token_file: %s holds %d bytes, want %d or more (openssl rand -hex 32 > FILE)", a.TokenFile, len(text), leastToken)
	}
	return string(text), nil
}

// TLS reads the certificate of https; nil without one.
func (a *Admin) TLS() (*tls.Config, error) {
	if a.Cert == "" {
		return nil, nil
	}
	cfg, err := (&Listener{Cert: a.Cert, Key: a.Key}).TLS()
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	cfg.NextProtos = []string{"h2", "http/1.1"}
	return cfg, nil
}
