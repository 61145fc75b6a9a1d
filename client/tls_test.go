package client_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// An authority signs certificates, good for an hour.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	der, key := a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.key = key
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) sign(c *x509.Certificate) (der []byte, key *ecdsa.PrivateKey) {
	a.t.Helper()
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.Subject = pkix.Name{CommonName: "test"}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	if der, err = x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer); err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t *testing.T, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A tlsWorld is a broker that wants client certificates.
type tlsWorld struct {
	ca       *authority
	url      string
	server   []byte // DER
	identity func(*client.TLS)
}

func newTLSWorld(t *testing.T) *tlsWorld {
	ca := newAuthority(t)
	der, key := ca.sign(&x509.Certificate{DNSNames: []string{"broker.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	opts := transport.Options{TLS: &transport.ServerTLS{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth:   transport.RequireClientCert, ClientCAs: roots,
	}}
	b, err := midge.New(midge.Config{Logger: quiet(), Listeners: []midge.Listener{{URL: "tls://127.0.0.1:0", Options: opts}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	mine, mineKey := ca.sign(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return &tlsWorld{ca: ca, url: b.Addrs()[0], server: der, identity: func(o *client.TLS) {
		o.Cert, o.Key = pemOf("CERTIFICATE", mine), pemOf("PRIVATE KEY", pkcs8(t, mineKey))
	}}
}

func (w *tlsWorld) try(o *client.TLS) error {
	c, err := client.Dial(context.Background(), w.url, client.Options{TLS: o})
	if err != nil {
		return err
	}
	_, err = c.Publish(context.Background(), message("a", "b", 1))
	c.Close()
	<-c.Done()
	return err
}

type signerOnly struct{ crypto.Signer } // a key that shows nothing of itself

func TestTLS(t *testing.T) {
	w := newTLSWorld(t)
	caPEM := pemOf("CERTIFICATE", w.ca.cert.Raw)
	file := filepath.Join(t.TempDir(), "ca.der")
	os.WriteFile(file, w.ca.cert.Raw, 0o600)
	pool := x509.NewCertPool()
	pool.AddCert(w.ca.cert)
	leaf, _ := x509.ParseCertificate(w.server)
	pin := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	cert, key := w.ca.sign(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	stranger := newAuthority(t)
	other, otherKey := stranger.sign(&x509.Certificate{})
	sec1, _ := x509.MarshalECPrivateKey(key)

	for name, x := range map[string]struct {
		o  client.TLS
		ok bool
	}{
		"PEM":             {client.TLS{CA: caPEM, ServerName: "broker.test"}, true},
		"DER":             {client.TLS{CA: w.ca.cert.Raw, ServerName: "broker.test"}, true},
		"file":            {client.TLS{CAFile: file, ServerName: "broker.test"}, true},
		"pool":            {client.TLS{Roots: pool, ServerName: "broker.test"}, true},
		"other name":      {client.TLS{CA: caPEM, ServerName: "else.test"}, false},
		"URL's name":      {client.TLS{CA: caPEM}, false},
		"any name":        {client.TLS{CA: caPEM, AnyName: true}, true},
		"any name, no CA": {client.TLS{AnyName: true}, false},
		"system's roots":  {client.TLS{ServerName: "broker.test"}, false},
		"stranger's CA":   {client.TLS{CA: stranger.cert.Raw, ServerName: "broker.test"}, false},
		"no verification": {client.TLS{InsecureNoVerification: true}, true},
		"pin":             {client.TLS{CA: caPEM, AnyName: true, Pins: [][32]byte{pin}}, true},
		"pin alone":       {client.TLS{InsecureNoVerification: true, Pins: [][32]byte{{1}, pin}}, true},
		"wrong pin":       {client.TLS{CA: caPEM, ServerName: "broker.test", Pins: [][32]byte{{1}}}, false},
		"wrong pin alone": {client.TLS{InsecureNoVerification: true, Pins: [][32]byte{{1}}}, false},
		"1.2 and a suite": {client.TLS{CA: caPEM, AnyName: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, true},
		"1.2, other suite": {client.TLS{
			CA: caPEM, AnyName: true, MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		}, false},
		"ALPN":            {client.TLS{CA: caPEM, AnyName: true, ALPN: []string{"x", "mqtt"}}, true},
		"other ALPN":      {client.TLS{CA: caPEM, AnyName: true, ALPN: []string{"x"}}, false},
		"base's verify":   {client.TLS{CA: caPEM, AnyName: true, Base: &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return io.EOF }}}, false},
		"key in hardware": {client.TLS{CA: caPEM, AnyName: true, Cert: cert, Signer: signerOnly{key}}, true},
		"SEC 1 DER":       {client.TLS{CA: caPEM, AnyName: true, Cert: cert, Key: sec1}, true},
		"stranger":        {client.TLS{CA: caPEM, AnyName: true, Cert: other, Signer: otherKey}, false},
		"other's key":     {client.TLS{CA: caPEM, AnyName: true, Cert: cert, Signer: otherKey}, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := x.o
			if o.Cert == nil {
				w.identity(&o)
			}
			if err := w.try(&o); (err == nil) != x.ok {
				t.Error(err)
			}
		})
	}
	if err := w.try(&client.TLS{CA: caPEM, AnyName: true}); err == nil {
		t.Error("let in without a certificate")
	}
}

// Many publish at once; what TLS gets is one stream.
func TestConcurrentWritesOverTLS(t *testing.T) {
	w := newTLSWorld(t)
	o := &client.TLS{CA: w.ca.cert.Raw, ServerName: "broker.test"}
	w.identity(o)
	c, err := client.Dial(context.Background(), w.url, client.Options{TLS: o})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for k := range 100 {
				if _, err := c.Publish(context.Background(), message("a", strings.Repeat("x", 50*k), mqtt.QoS(k%3))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	c.Close()
	<-c.Done()
}

func TestTLSMistakes(t *testing.T) {
	for name, o := range map[string]client.TLS{
		"no file":       {CAFile: "nofile"},
		"no cert in it": {CA: []byte("-----BEGIN X-----\n")},
		"cert alone":    {Cert: []byte("x")},
		"key alone":     {Key: []byte("x")},
		"both":          {Cert: []byte("x"), CertFile: "x"},
	} {
		if _, err := o.Config(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// An own dialer is the place for what crypto/tls has not, such as TLS with
// pre-shared keys: here, another layer of our own.
func TestOwnDialer(t *testing.T) {
	b, err := midge.New(midge.Config{Logger: quiet(), Listeners: []midge.Listener{}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ln := transport.ListenPipe("odd", 0)
	b.Serve(ln)
	var went string
	c, err := client.Dial(context.Background(), "odd://user:pw@place?key=1", client.Options{
		Dial: func(ctx context.Context, server *url.URL) (net.Conn, error) {
			went = server.String()
			return ln.Dial(ctx)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-c.Done()
	if went != "odd://place?key=1" {
		t.Errorf("dialed %q", went)
	}
}

// Whoever has the pinned certificate, which is public, and not its key, is
// not the server: a chain that is not verified counts by its first
// certificate, or by a pinned one that has signed it.
func TestPinsOfAnImposter(t *testing.T) {
	w := newTLSWorld(t)
	leaf, _ := x509.ParseCertificate(w.server)
	for name, pinned := range map[string]*x509.Certificate{"leaf": leaf, "authority": w.ca.cert} {
		o := &client.TLS{InsecureNoVerification: true, Pins: [][sha256.Size]byte{sha256.Sum256(pinned.RawSubjectPublicKeyInfo)}}
		cfg, err := o.Config()
		if err != nil {
			t.Fatal(err)
		}
		if err := cfg.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf, w.ca.cert}}); err != nil {
			t.Errorf("%s: the server itself: %v", name, err)
		}
		forged, _ := newAuthority(t).sign(&x509.Certificate{DNSNames: []string{"broker.test"}})
		imposter, _ := x509.ParseCertificate(forged)
		for _, behind := range [][]*x509.Certificate{{leaf}, {w.ca.cert}, {leaf, w.ca.cert}} {
			if cfg.VerifyConnection(tls.ConnectionState{PeerCertificates: append([]*x509.Certificate{imposter}, behind...)}) == nil {
				t.Errorf("%s: an imposter is let through", name)
			}
		}
	}
}
