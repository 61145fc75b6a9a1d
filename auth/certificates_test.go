package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// Over TLS: the certificate names the user, and its revocation ends the
// connection while others stay.
func TestCertificateLogin(t *testing.T) {
	ca := newIssuer(t, "ca", nil)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	pair := func(serial int64, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c.SerialNumber = big.NewInt(serial)
		return ca.sign(t, c, key), key
	}
	server, serverKey := pair(100, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	policy := Policy{Authenticators: []Authenticator{Certificates{}}, Anonymous: AnonymousNever}
	g := New(policy)
	cfg := midge.Config{Logger: slog.New(slog.DiscardHandler), Listeners: []midge.Listener{{
		URL: "tls://127.0.0.1:0",
		Options: transport.Options{TLS: &transport.ServerTLS{
			Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
			ClientAuth:   transport.OptionalClientCert, ClientCAs: roots,
		}},
	}}}
	g.Install(&cfg.Hooks)
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	dial := func(serial int64, name string) (*client.Conn, error) {
		o := client.Options{ClientID: name, TLS: &client.TLS{Roots: roots}, Version: mqtt.V5}
		if serial > 0 {
			cert, key := pair(serial, &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			o.TLS.Cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
			o.TLS.Key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		}
		c, err := client.Dial(t.Context(), strings.Replace(b.Addrs()[0], "tls", "mqtts", 1), o)
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return c, err
	}
	alice, err := dial(7, "alice")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := dial(8, "bob")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(0, "nobody"); err == nil || !strings.Contains(err.Error(), mqtt.NotAuthorized.String()) {
		t.Error(err)
	}
	for _, c := range b.Clients() {
		if c.Username != c.ClientID {
			t.Errorf("%s is called %q", c.ClientID, c.Username)
		}
	}
	policy.Revoked, err = LoadRevoked(false, ca.revoke(filepath.Join(t.TempDir(), "crl.pem"), time.Now().Add(time.Hour), 7))
	if err != nil {
		t.Fatal(err)
	}
	if gone := g.Apply(b, policy); len(gone) != 1 || gone[0].Username != "alice" {
		t.Errorf("%+v", gone)
	}
	<-alice.Done()
	if _, err := dial(7, "alice"); err == nil {
		t.Error("a revoked certificate comes in")
	}
	if _, err := bob.Publish(t.Context(), mqtt.Message{Topic: "t", QoS: 1}); err != nil {
		t.Error(err)
	}
}
