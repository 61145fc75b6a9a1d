package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certs are PEM files: an authority, a server and a client under it, and a
// client nobody vouches for.
type certs struct{ ca, server, serverKey, client, clientKey, stranger, strangerKey string }

func makeCerts(t *testing.T) certs {
	t.Helper()
	dir := t.TempDir()
	ca, caKey := certificate(t, nil, nil, "midge test authority", true)
	var c certs
	c.ca = write(t, dir, "ca.pem", "CERTIFICATE", ca.Raw)
	c.server, c.serverKey = issue(t, dir, ca, caKey, "localhost")
	c.client, c.clientKey = issue(t, dir, ca, caKey, "client")
	other, otherKey := certificate(t, nil, nil, "another authority", true)
	c.stranger, c.strangerKey = issue(t, dir, other, otherKey, "stranger")
	return c
}

func certificate(t *testing.T, parent *x509.Certificate, signer *ecdsa.PrivateKey, name string, isCA bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if isCA {
		c.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.ExtKeyUsage = nil
	}
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func issue(t *testing.T, dir string, ca *x509.Certificate, caKey *ecdsa.PrivateKey, name string) (certFile, keyFile string) {
	t.Helper()
	c, key := certificate(t, ca, caKey, name, false)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir, name+".pem", "CERTIFICATE", c.Raw), write(t, dir, name+".key", "PRIVATE KEY", der)
}

func write(t *testing.T, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
