//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// papers writes an authority, and a certificate of it for this host and for
// clients: ca.pem, cert.pem and key.pem.
func papers(t *testing.T, dir, name string) tls.Certificate {
	t.Helper()
	made := func(x, by *x509.Certificate, k, byKey *ecdsa.PrivateKey) []byte {
		x.SerialNumber, x.NotBefore, x.NotAfter = big.NewInt(1), time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, x, by, &k.PublicKey, byKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER := made(ca, ca, keys[0], keys[0])
	leaf := made(&x509.Certificate{
		Subject: pkix.Name{CommonName: "alice"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, ca, keys[1], keys[0])
	key, err := x509.MarshalPKCS8PrivateKey(keys[1])
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: caDER}, "cert.pem": {Type: "CERTIFICATE", Bytes: leaf}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		writeFile(t, filepath.Join(dir, file), string(pem.EncodeToMemory(b)))
	}
	return tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: keys[1]}
}

// A connection that was made under an authority, and says CONNECT when that is
// trusted no more, does not come in.
func TestReloadBetweenHandshakeAndConnect(t *testing.T) {
	dir := t.TempDir()
	mine := papers(t, dir, "ours")
	file := filepath.Join(dir, "m.toml")
	writeFile(t, file, `
[[listener]]
url = "tls://127.0.0.1:0"
cert = "cert.pem"
key = "key.pem"
client_ca = "ca.pem"
client_cert = "require"
user_from_cert = "cn"
`)
	urls, logged, _ := loggedServing(t, "serve", "-c", file)
	connect := []byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")
	dial := func() *tls.Conn {
		c, err := tls.Dial("tcp", strings.TrimPrefix(urls[0], "tls://"), &tls.Config{Certificates: []tls.Certificate{mine}, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	answer := func(c *tls.Conn) byte {
		c.Write(connect)
		var b [4]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return 0xff
		}
		return b[3]
	}
	if code := answer(dial()); code != 0 {
		t.Fatalf("CONNACK %d", code)
	}
	late := dial()
	papers(t, dir, "others")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	logged("msg=reloaded")
	if code := answer(late); code == 0 {
		t.Error("it came in")
	}
}
