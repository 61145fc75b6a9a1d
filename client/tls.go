package client

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// TLS says how the server is verified and who the client is. The zero value
// verifies the server's certificate and name against the system's roots.
type TLS struct {
	// CA and CAFile are certificates, PEM or DER, that replace the system's
	// roots; Roots does, too. They add up.
	CA     []byte
	CAFile string
	Roots  *x509.CertPool

	// The client's certificate and key, PEM or DER; content or files.
	// KeyPassword opens an encrypted key (PKCS#8 with PBES2, or OpenSSL's old
	// PEM form). Signer is a key in hardware, in place of Key.
	Cert, Key         []byte
	CertFile, KeyFile string
	KeyPassword       []byte
	Signer            crypto.Signer

	// ServerName is expected in the server's certificate in place of the
	// URL's host, and sent as SNI.
	ServerName string

	// AnyName accepts any name in the certificate; the chain is still verified.
	AnyName bool

	// Pins are SHA-256 sums of public keys (SubjectPublicKeyInfo): one
	// certificate of the chain has to have one of them, besides all else.
	Pins [][sha256.Size]byte

	// InsecureNoVerification accepts any certificate of anybody: whoever is on
	// the way can read and change everything. With Pins, only those count.
	InsecureNoVerification bool

	ALPN         []string // nil: "mqtt"
	CipherSuites []uint16 // TLS 1.2; nil: Go's choice. TLS 1.3's are fixed
	MinVersion   uint16   // tls.VersionTLS12 or later; 0: 1.2
	MaxVersion   uint16   // 0: the latest

	// Base is what all this is put on: session cache, key log, whatever else
	// crypto/tls knows. nil: an empty one.
	Base *tls.Config
}

// Config is the configuration for crypto/tls. Errors name the file or field.
func (t *TLS) Config() (*tls.Config, error) {
	cfg := &tls.Config{}
	if t.Base != nil {
		cfg = t.Base.Clone()
	}
	cfg.MinVersion = max(cfg.MinVersion, t.MinVersion, tls.VersionTLS12)
	if t.MaxVersion > 0 {
		cfg.MaxVersion = t.MaxVersion
	}
	if t.ServerName != "" {
		cfg.ServerName = t.ServerName
	}
	if t.ALPN != nil {
		cfg.NextProtos = t.ALPN
	}
	if t.CipherSuites != nil {
		cfg.CipherSuites = t.CipherSuites
	}
	if err := t.roots(cfg); err != nil {
		return nil, err
	}
	if err := t.identity(cfg); err != nil {
		return nil, err
	}
	if t.AnyName || t.InsecureNoVerification {
		cfg.InsecureSkipVerify = true // VerifyConnection does what is left of it
	}
	if t.AnyName || len(t.Pins) > 0 {
		cfg.VerifyConnection = t.verify(cfg.RootCAs, cfg.VerifyConnection)
	}
	return cfg, nil
}

func (t *TLS) roots(cfg *tls.Config) error {
	if t.Roots != nil {
		cfg.RootCAs = t.Roots.Clone()
	}
	ca := t.CA
	if t.CAFile != "" {
		file, err := os.ReadFile(t.CAFile)
		if err != nil {
			return fmt.Errorf("CAFile: %w", err)
		}
		if err := addRoots(cfg, file); err != nil {
			return fmt.Errorf("CAFile %s: %w", t.CAFile, err)
		}
	}
	if ca != nil {
		if err := addRoots(cfg, ca); err != nil {
			return fmt.Errorf("CA: %w", err)
		}
	}
	return nil
}

func addRoots(cfg *tls.Config, ca []byte) error {
	ders, err := certificates(ca)
	if err != nil {
		return err
	}
	if cfg.RootCAs == nil {
		cfg.RootCAs = x509.NewCertPool()
	}
	for _, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		cfg.RootCAs.AddCert(cert)
	}
	return nil
}

var errNoCert = errors.New("there is no certificate in it")

// certificates returns the DER of every certificate, of PEM or DER.
func certificates(b []byte) (ders [][]byte, err error) {
	if !bytes.Contains(b, []byte("-----BEGIN")) {
		certs, err := x509.ParseCertificates(b)
		if err == nil && len(certs) == 0 {
			err = errNoCert
		}
		for _, c := range certs {
			ders = append(ders, c.Raw)
		}
		return ders, err
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 {
		return nil, errNoCert
	}
	return ders, nil
}

// identity puts the client's certificate in place.
func (t *TLS) identity(cfg *tls.Config) error {
	cert, err := content("Cert", t.Cert, t.CertFile)
	if err != nil {
		return err
	}
	key, err := content("Key", t.Key, t.KeyFile)
	if err != nil {
		return err
	}
	hasKey := key != nil || t.Signer != nil
	if cert == nil && !hasKey {
		return nil
	}
	if cert == nil || !hasKey {
		return errors.New("a client certificate and its key come together")
	}
	pair := tls.Certificate{PrivateKey: t.Signer}
	if pair.Certificate, err = certificates(cert); err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	if t.Signer == nil {
		signer, err := parseKey(key, t.KeyPassword)
		if err != nil {
			return fmt.Errorf("client key: %w", err)
		}
		pair.PrivateKey = signer
	}
	public, ok := pair.PrivateKey.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(pair.Leaf.PublicKey) {
		return errors.New("the key is not the certificate's")
	}
	cfg.Certificates = append([]tls.Certificate{pair}, cfg.Certificates...)
	return nil
}

func content(name string, b []byte, file string) ([]byte, error) {
	switch {
	case b != nil && file != "":
		return nil, fmt.Errorf("%s and %sFile are both set", name, name)
	case file == "":
		return b, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%sFile: %w", name, err)
	}
	return b, nil
}

var (
	errNoPeerCert = errors.New("client: the server showed no certificate")
	errPin        = errors.New("client: no certificate of the server's has a pinned key")
)

// verify does what crypto/tls was told to leave out, and the pins.
func (t *TLS) verify(roots *x509.CertPool, also func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errNoPeerCert
		}
		chain := state.PeerCertificates
		if t.AnyName && !t.InsecureNoVerification {
			o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, cert := range chain[1:] {
				o.Intermediates.AddCert(cert)
			}
			chains, err := chain[0].Verify(o)
			if err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
			}
			chain = chains[0]
		} else if len(state.VerifiedChains) > 0 {
			chain = state.VerifiedChains[0]
		} else {
			chain = t.signers(chain)
		}
		if len(t.Pins) > 0 && !t.pinned(chain) {
			return errPin
		}
		if also != nil {
			return also(state)
		}
		return nil
	}
}

// signers are, of certificates that nothing vouches for, the first, whose key
// the server has proven, and those of the others that its signatures lead to:
// anybody can show a certificate of somebody else's.
func (t *TLS) signers(shown []*x509.Certificate) []*x509.Certificate {
	last := shown[0]
	chain := []*x509.Certificate{last}
	for _, cert := range shown[1:] {
		if last.CheckSignatureFrom(cert) != nil {
			break
		}
		chain, last = append(chain, cert), cert
	}
	return chain
}

func (t *TLS) pinned(chain []*x509.Certificate) bool {
	for _, cert := range chain {
		sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		for _, pin := range t.Pins {
			if pin == sum {
				return true
			}
		}
	}
	return false
}
