package auth

import (
	"context"
	"crypto/x509"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// CertName says which part of a client certificate is the user name.
type CertName uint8

const (
	CommonName  CertName = iota // the subject's CN
	SubjectName                 // the whole subject, as OpenSSL writes it for RFC 2253: CN=a,O=b,C=c
	DNSName                     // the first DNS name
	EmailName                   // the first e-mail address
	URIName                     // the first URI
)

// Certificates takes a client's user name from the certificate its listener
// verified. A user name in CONNECT is not looked at. Clients without a
// certificate are for the next authenticator, unless Required.
type Certificates struct {
	Name     CertName
	Required bool // refuse clients without a certificate, or without the name in it
}

// certProof stands for a certificate: its time, and what is revoked, are
// looked at by others.
type certProof struct{ CertName }

// Authenticate is [Authenticator].
func (a Certificates) Authenticate(_ context.Context, c *midge.Connect) (*Identity, error) {
	name := ""
	var until Identity
	if c.TLS != nil && len(c.TLS.VerifiedChains) > 0 {
		leaf := c.TLS.VerifiedChains[0][0]
		name, until.Until = a.Name.of(leaf), leaf.NotAfter
	}
	switch {
	case name != "":
		return &Identity{User: name, Until: until.Until, Proof: certProof{a.Name}}, nil
	case a.Required:
		return nil, &midge.Refusal{Code: mqtt.NotAuthorized, Reason: "a client certificate with a name is required"}
	}
	return nil, ErrNotMine
}

// Stays is [Authenticator].
func (a Certificates) Stays(id *Identity) error {
	if proof, ours := id.Proof.(certProof); !ours || proof.CertName != a.Name {
		return ErrNotMine
	}
	return nil
}

func (n CertName) of(cert *x509.Certificate) string {
	switch n {
	case CommonName:
		return cert.Subject.CommonName
	case SubjectName:
		return subjectName(cert.RawSubject)
	case DNSName:
		return first(cert.DNSNames)
	case EmailName:
		return first(cert.EmailAddresses)
	case URIName:
		if len(cert.URIs) > 0 {
			return cert.URIs[0].String()
		}
	}
	return ""
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}
