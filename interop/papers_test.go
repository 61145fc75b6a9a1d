package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// An office is two authorities, of which the first alone publishes what it has
// revoked, and what they sign.
type office struct {
	t    *testing.T
	dir  string
	ca   [2]*x509.Certificate
	keys [2]*ecdsa.PrivateKey
	both string // their certificates, in a file
}

func newOffice(t *testing.T) *office {
	o := &office{t: t, dir: t.TempDir()}
	var text []byte
	for i := range o.ca {
		o.ca[i], o.keys[i] = certificate(t, nil, nil, fmt.Sprint("authority ", i), true)
		one, err := os.ReadFile(write(t, o.dir, "one.pem", "CERTIFICATE", o.ca[i].Raw))
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, one...)
	}
	o.both = filepath.Join(o.dir, "both.pem")
	if err := os.WriteFile(o.both, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return o
}

// paper is what a client of an authority shows.
func (o *office) paper(by int, serial int64, subject pkix.Name) *client.TLS {
	o.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		o.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, o.ca[by], key.Public(), o.keys[by])
	if err != nil {
		o.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		o.t.Fatal(err)
	}
	name := fmt.Sprintf("%d-%d", by, serial)
	return &client.TLS{
		CAFile: o.both, CertFile: write(o.t, o.dir, name+".pem", "CERTIFICATE", der), KeyFile: write(o.t, o.dir, name+".key", "PRIVATE KEY", secret),
	}
}

// conf has a listener with a revocation list, and one whose users are subjects
// that may publish under their own names.
func (o *office) conf() (conf string, at map[string]string) {
	o.t.Helper()
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: time.Now()}},
	}, o.ca[0], o.keys[0])
	if err != nil {
		o.t.Fatal(err)
	}
	crl := write(o.t, o.dir, "crl.pem", "X509 CRL", list)
	acl := filepath.Join(o.dir, "acl")
	if err := os.WriteFile(acl, []byte("pattern write own/%u\ntopic write door\n"), 0o644); err != nil {
		o.t.Fatal(err)
	}
	cert, key := issue(o.t, o.dir, o.ca[0], o.keys[0], "localhost")
	at = map[string]string{}
	text := "per_listener_settings true\nuser root\nlog_dest stderr\nlog_type all\n"
	for name, settings := range map[string]string{
		"crl": "use_identity_as_username true\ncrlfile " + crl, "subject": "use_subject_as_username true\nacl_file " + acl,
	} {
		_, port, _ := net.SplitHostPort(freeAddress(o.t))
		text += fmt.Sprintf("\nlistener %s 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\n%s\n", port, o.both, cert, key, settings)
		at[name] = "mqtts://localhost:" + port
	}
	conf = filepath.Join(o.t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		o.t.Fatal(err)
	}
	return conf, at
}

// Both brokers let the same certificates in, and call them by the same names.
func TestCertificatesLikeMosquitto(t *testing.T) {
	o := newOffice(t)
	full := o.paper(0, 9, pkix.Name{
		Country: []string{"DE"}, Province: []string{"Bayern"}, Locality: []string{"Hof, Saale"}, Organization: []string{"Works"},
		OrganizationalUnit: []string{"line"}, CommonName: "Jürgen",
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "j@x.example"}},
	})
	papers := map[string]*client.TLS{
		"good": o.paper(0, 8, pkix.Name{CommonName: "good"}), "revoked": o.paper(0, 7, pkix.Name{CommonName: "revoked"}),
		"of who has no list": o.paper(1, 8, pkix.Name{CommonName: "other"}), "none": {CAFile: o.both},
	}
	const itsName = `emailAddress=j@x.example,CN=J\C3\BCrgen,OU=line,O=Works,L=Hof\, Saale,ST=Bayern,C=DE`
	for _, name := range []string{"mosquitto", "midge"} {
		conf, at := o.conf()
		if name == "midge" {
			start(t, binary, "serve", "--mosquitto-conf", conf).want("listens on")
		} else {
			start(t, need(t, "mosquitto", "apt-get install mosquitto"), "-c", conf).want("running")
		}
		for paper, tls := range papers {
			want := "refused"
			if paper == "good" {
				want = "in"
			}
			if got := knock(t, at["crl"], client.Options{ClientID: "c", Version: mqtt.V5, TLS: tls}); got != want {
				t.Errorf("%s, %s: %s", name, paper, got)
			}
		}
		c, err := client.Dial(t.Context(), at["subject"], client.Options{ClientID: "c", Version: mqtt.V5, TLS: full})
		if err != nil {
			t.Fatal(name, err)
		}
		defer c.Close()
		if err := publishTo(t.Context(), c, "own/"+itsName); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := publishTo(t.Context(), c, "own/CN=J"); err == nil {
			t.Errorf("%s: it has another name, too", name)
		}
	}
}
