//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge/admin"
)

// administered starts a broker with an admin socket, and returns both.
func administered(t *testing.T, args ...string) (broker, adminAt string) {
	t.Helper()
	adminAt = filepath.Join(t.TempDir(), "a.sock")
	urls := serving(t, append([]string{"--tcp", "127.0.0.1:0", "--admin", adminAt}, args...)...)
	return urls[0], adminAt
}

func TestClientsAndKick(t *testing.T) {
	broker, at := administered(t)
	c := connected(t, broker, "one")
	connected(t, broker, "two")
	if info, err := os.Stat(at); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"clients --url " + at, exitOK, "one"},
		{"clients --url " + at + " tw", exitOK, "two"},
		{"clients --url " + at + " --sort bytes --limit 1", exitOK, "IN/S"},
		{"clients --url " + at + " --limit 1", exitOK, "and 1 more; --limit 2"},
		{"clients --url " + at + " none", exitNone, "no such client"},
		{"clients --url " + at + " --state away", exitNone, "no such client"},
		{"clients --url " + at + " --sort size", exitFailed, "messages-in"},
		{"clients --url " + at + " a b", exitUsage, "unexpected"},
		{"clients --url " + at + "x", exitFailed, "is the broker running"},
		{"clients --url 127.0.0.1:1", exitFailed, "is the broker running"},
		{"clients -c /nonexistent", exitFailed, "nonexistent"},
		{"kick", exitUsage, "argument is missing"},
		{"kick --url " + at + " nobody", exitNone, "nobody is not connected"},
		{"kick --forget --url " + at + " nobody", exitNone, "nobody is not known"},
		{"kick --forget --url " + at + " one", exitOK, "one is forgotten"},
	} {
		code, out, errs := runFor(t, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(out+errs, test.says) {
			t.Errorf("midge %s: exit %d, want %d; want %q in\n%s%s", test.args, code, test.code, test.says, out, errs)
		}
	}
	<-c.Done()
	code, out, _ := runFor(t, "clients", "--url", at, "--json")
	var l admin.List
	if err := json.Unmarshal([]byte(out), &l); err != nil || code != exitOK || l.Found != 1 || l.Sessions[0].Client != "two" {
		t.Errorf("%d %v %s", code, err, out)
	}
}

// certFor makes a certificate for loopback, and returns its files.
func certFor(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return cert, key
}

// freePort is one that nobody has now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// With TLS and a token, both of which a reload changes.
func TestAdminReload(t *testing.T) {
	dir, at := t.TempDir(), freePort(t)
	file, token := filepath.Join(dir, "m.toml"), filepath.Join(dir, "token")
	certFor(t, dir, "first")
	writeFile(t, token, "the first of the tokens\n")
	writeFile(t, file, "[[listener]]\nurl = 'tcp://127.0.0.1:0'\n[admin]\nurl = 'https://"+at+"'\ntoken_file = 'token'\ncert = 'cert.pem'\nkey = 'key.pem'\n[process]\npid_file = 'pid'\n")
	_, logged, _ := loggedServing(t, "serve", "-c", file)
	cert := filepath.Join(dir, "cert.pem")
	want := func(code int, says string, args ...string) {
		t.Helper()
		got, out, errs := runFor(t, append([]string{"clients"}, args...)...)
		if got != code || !strings.Contains(out+errs, says) {
			t.Errorf("midge clients %s: exit %d, want %d and %q\n%s%s", args, got, code, says, out, errs)
		}
	}
	want(exitNone, "no such client", "-c", file, "--cafile", cert)
	want(exitFailed, "certificate", "-c", file)
	want(exitFailed, "token is missing", "--url", "https://"+at, "--cafile", cert)

	certFor(t, dir, "second")
	writeFile(t, token, "the second of the tokens\n")
	want(exitFailed, "certificate", "-c", file, "--cafile", cert)
	if code, _, errs := runFor(t, "reload", "-c", file); code != exitOK {
		t.Fatal(errs)
	}
	logged("msg=reloaded")
	want(exitNone, "no such client", "-c", file, "--cafile", cert)

	writeFile(t, token, "short\n")
	if code, _, errs := runFor(t, "reload", "-c", file); code == exitOK || !strings.Contains(errs, "16 or more") {
		t.Errorf("a token that can be guessed: %s", errs)
	}
	if code, _, errs := runFor(t, "check", "-c", file); code == exitOK || !strings.Contains(errs, "16 or more") {
		t.Errorf("a token that can be guessed: %s", errs)
	}
}
