package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// An issuer is a certificate authority for tests.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	up   *issuer
}

func newIssuer(t *testing.T, name string, up *issuer) *issuer {
	i := &issuer{t: t, up: up}
	i.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	i.cert = up.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign, SubjectKeyId: []byte(name),
	}, i.key)
	return i
}

// sign makes a certificate; a nil issuer signs with the key itself.
func (i *issuer) sign(t *testing.T, c *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, by := c, key
	if i != nil {
		parent, by = i.cert, i.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// client returns what a TLS listener knows of a client that it let in.
func (i *issuer) client(serial int64, edit func(*x509.Certificate)) *tls.ConnectionState {
	i.t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "alice", Organization: []string{"midge"}}}
	if edit != nil {
		edit(c)
	}
	chain := []*x509.Certificate{i.sign(i.t, c, key)}
	for at := i; at != nil; at = at.up {
		chain = append(chain, at.cert)
	}
	return &tls.ConnectionState{PeerCertificates: chain[:1], VerifiedChains: [][]*x509.Certificate{chain}}
}

// revoke writes a list of serial numbers.
func (i *issuer) revoke(path string, until time.Time, serials ...int64) string {
	i.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: until}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, i.cert, i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	if strings.HasSuffix(path, ".pem") {
		der = pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	}
	if err := os.WriteFile(path, der, 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

func TestRevoked(t *testing.T) {
	dir := t.TempDir()
	root := newIssuer(t, "root", nil)
	sub := newIssuer(t, "sub", root)
	twin := newIssuer(t, "sub", nil) // another authority of the same name
	soon := time.Now().Add(time.Hour)
	load := func(stale bool, paths ...string) *Revoked {
		r, err := LoadRevoked(stale, paths...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	lists := load(false, sub.revoke(filepath.Join(dir, "sub.pem"), soon, 7), root.revoke(filepath.Join(dir, "root.der"), soon, 8))
	for _, c := range []struct {
		name  string
		r     *Revoked
		state *tls.ConnectionState
		says  string // "" is let in
	}{
		{"no list", nil, sub.client(7, nil), ""},
		{"no TLS", lists, nil, ""},
		{"no certificate", lists, new(tls.ConnectionState), ""},
		{"good", lists, sub.client(9, nil), ""},
		{"revoked", lists, sub.client(7, nil), "7"},
		{"revoked elsewhere", lists, sub.client(8, nil), ""},
		{"no list of its authority", lists, newIssuer(t, "other", nil).client(9, nil), "no list of what CN=other has revoked"},
		{"by the root", lists, root.client(8, nil), "8"},
		{"a namesake's list", load(false, twin.revoke(filepath.Join(dir, "twin.pem"), soon, 9)), sub.client(9, nil), "no list"},
		{"the authority itself", load(false, root.revoke(filepath.Join(dir, "r.pem"), soon, 1)), sub.client(9, nil), "1 of CN=sub"},
		{"old list", load(false, sub.revoke(filepath.Join(dir, "old.pem"), time.Now().Add(-time.Minute))), sub.client(9, nil), "past its time"},
		{"old list will do", load(true, filepath.Join(dir, "old.pem")), sub.client(9, nil), ""},
	} {
		for range 2 { // the second time from memory
			if err := c.r.check(c.state); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q", c.name, err, c.says)
			}
		}
	}
	os.WriteFile(filepath.Join(dir, "bad.pem"), []byte("-----BEGIN X-----\n"), 0o600)
	os.WriteFile(filepath.Join(dir, "bad.der"), []byte("x"), 0o600)
	for _, bad := range []string{"bad.pem", "bad.der", "none"} {
		if _, err := LoadRevoked(false, filepath.Join(dir, bad)); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A certificate that is revoked later loses its place, whatever else its
// client has shown.
func TestRevokedLater(t *testing.T) {
	ca := newIssuer(t, "ca", nil)
	p := Policy{Authenticators: []Authenticator{Certificates{}}}
	c := &midge.Connect{Remote: midge.Remote{TLS: ca.client(5, nil)}}
	id, err := p.identify(t.Context(), c)
	if err != nil || id.User != "alice" || id.Until.Before(time.Now()) {
		t.Fatal(id, err)
	}
	if err := p.stays(&c.Remote, id); err != nil {
		t.Error(err)
	}
	p.Revoked, err = LoadRevoked(false, ca.revoke(filepath.Join(t.TempDir(), "crl.pem"), time.Now().Add(time.Hour), 5))
	if err != nil {
		t.Fatal(err)
	}
	if p.stays(&c.Remote, id) == nil {
		t.Error("it stays")
	}
	if _, err := p.identify(t.Context(), c); refusalCode(err) != mqtt.NotAuthorized {
		t.Error(err)
	}
}

func TestCertificateNames(t *testing.T) {
	ca := newIssuer(t, "ca", nil)
	full := ca.client(2, func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"dev.example", "b"}, []string{"a@example"}
		c.URIs = []*url.URL{{Scheme: "urn", Opaque: "dev:1"}}
	})
	bare := ca.client(3, func(c *x509.Certificate) { c.Subject = pkix.Name{} })
	for name, want := range map[CertName]string{
		CommonName: "alice", SubjectName: "CN=alice,O=midge", DNSName: "dev.example", EmailName: "a@example", URIName: "urn:dev:1",
	} {
		ask := func(state *tls.ConnectionState, required bool) (string, error) {
			id, err := Certificates{Name: name, Required: required}.Authenticate(t.Context(), &midge.Connect{
				Remote: midge.Remote{TLS: state}, Username: "mallory", HasUsername: true,
			})
			if err != nil {
				return "", err
			}
			return id.User, nil
		}
		if got, err := ask(full, true); got != want || err != nil {
			t.Errorf("%d: %q, %v", name, got, err)
		}
		for _, state := range []*tls.ConnectionState{nil, {}, bare} {
			if got, err := ask(state, false); err != ErrNotMine {
				t.Errorf("%d: %q, %v", name, got, err)
			}
			if _, err := ask(state, true); refusalCode(err) != mqtt.NotAuthorized {
				t.Errorf("%d: %v", name, err)
			}
		}
	}
	if err := (Certificates{Name: DNSName}).Stays(&Identity{Proof: certProof{CommonName}}); err != ErrNotMine {
		t.Error(err)
	}
}
