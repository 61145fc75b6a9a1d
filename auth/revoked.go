package auth

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// Revoked are certificate revocation lists. Immutable; nil is none.
type Revoked struct {
	lists []crl
	stale bool
	now   func() time.Time
}

type crl struct {
	*x509.RevocationList
	serials map[string]bool
	path    string
	signed  *sync.Map // by certificate: whether it signed the list
}

// by reports whether the list is an issuer's.
func (c *crl) by(issuer *x509.Certificate) bool {
	if !bytes.Equal(c.RawIssuer, issuer.RawSubject) {
		return false
	}
	known, ok := c.signed.Load(string(issuer.Raw))
	if !ok {
		known = c.CheckSignatureFrom(issuer) == nil
		c.signed.Store(string(issuer.Raw), known)
	}
	return known.(bool)
}

// LoadRevoked reads lists, PEM or DER, several to a file if PEM. A client
// whose certificate, or one on the way to its root, is on the list of its
// issuer is refused; so is one whose issuer has no list here, and, unless stale
// is true, one whose issuer's list is past its time (Next Update). Authorities
// above that may do without a list.
func LoadRevoked(stale bool, paths ...string) (*Revoked, error) {
	r := &Revoked{stale: stale, now: time.Now}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("auth: crl: %w", err)
		}
		found, err := parseCRLs(data)
		if err != nil {
			return nil, fmt.Errorf("auth: crl: %s: %w", path, err)
		}
		for _, list := range found {
			c := crl{RevocationList: list, path: path, serials: map[string]bool{}, signed: new(sync.Map)}
			for _, e := range list.RevokedCertificateEntries {
				c.serials[e.SerialNumber.String()] = true
			}
			r.lists = append(r.lists, c)
		}
	}
	return r, nil
}

func parseCRLs(data []byte) (all []*x509.RevocationList, err error) {
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		list, err := x509.ParseRevocationList(data)
		return []*x509.RevocationList{list}, err
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, list)
	}
	if len(all) == 0 {
		return nil, errors.New("no X509 CRL in it")
	}
	return all, nil
}

// check refuses a connection whose verified certificates are revoked.
func (r *Revoked) check(state *tls.ConnectionState) error {
	if r == nil || state == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	var err error
	for _, chain := range state.VerifiedChains {
		if err = r.checkChain(chain); err == nil {
			return nil // one way to a root is enough
		}
	}
	return err
}

func (r *Revoked) checkChain(chain []*x509.Certificate) error {
	listed := len(chain) < 2 // its own authority
	for i, cert := range chain[:max(len(chain)-1, 0)] {
		issuer := chain[i+1]
		for n := range r.lists {
			list := &r.lists[n]
			if !list.by(issuer) {
				continue
			}
			listed = listed || i == 0
			if list.serials[cert.SerialNumber.String()] {
				return refusedCert("certificate %v of %s is revoked", cert.SerialNumber, cert.Subject)
			}
			if !r.stale && !list.NextUpdate.IsZero() && r.now().After(list.NextUpdate) {
				return refusedCert("the list of revoked certificates in %s is past its time", list.path)
			}
		}
	}
	if !listed { // it may be revoked for all we know
		return refusedCert("there is no list of what %s has revoked", chain[1].Subject)
	}
	return nil
}

func refusedCert(format string, args ...any) error {
	return fmt.Errorf("auth: "+format+": %w", append(args, &midge.Refusal{Code: mqtt.NotAuthorized, Reason: "certificate is not accepted"})...)
}
