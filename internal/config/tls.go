package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/transport"
)

var certNames = map[string]auth.CertName{
	"cn": auth.CommonName, "subject": auth.SubjectName, "dns": auth.DNSName, "email": auth.EmailName, "uri": auth.URIName,
}

// CertName is user_from_cert.
func (l *Listener) CertName() (name auth.CertName, said bool) {
	name, said = certNames[l.UserFromCert]
	return name, said
}

// WantsCert is client_cert.
func (l *Listener) WantsCert() transport.ClientAuth {
	switch {
	case l.ClientCert == "require":
		return transport.RequireClientCert
	case l.ClientCert == "optional", l.ClientCert == "" && l.ClientCA != "":
		return transport.OptionalClientCert
	}
	return transport.NoClientCert
}

// TLS reads the listener's files. Errors name the file.
func (l *Listener) TLS() (*tls.Config, error) {
	s := transport.ServerTLS{CertFile: l.Cert, KeyFile: l.Key, ClientAuth: l.WantsCert(), MinVersion: tls.VersionTLS12}
	if l.TLSMin == "1.3" {
		s.MinVersion = tls.VersionTLS13
	}
	if s.ClientAuth != transport.NoClientCert {
		var err error
		if s.ClientCAs, err = authorities(l.ClientCA); err != nil {
			return nil, err
		}
	}
	cfg, err := s.Config()
	if err != nil {
		return nil, err
	}
	// A resumed session is not held against authorities that have changed since.
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		if !s.DidResume || cfg.ClientAuth == tls.NoClientCert {
			return nil
		}
		return Vouched(cfg, &s)
	}
	cfg.CipherSuites, err = cipherSuites(l.Ciphers)
	return cfg, err
}

// Vouched returns an error for a connection that cfg would not let in now, by
// its client certificate or the lack of one.
func Vouched(cfg *tls.Config, s *tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		if cfg.ClientAuth == tls.RequireAndVerifyClientCert {
			return errors.New("there is none")
		}
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: cfg.ClientCAs, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// authorities reads a file, or every file of a folder that has certificates.
func authorities(path string) (*x509.CertPool, error) {
	files := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*")); err != nil {
			return nil, fmt.Errorf("client CA: %w", err)
		}
	}
	pool, any := x509.NewCertPool(), false
	for _, f := range files {
		pem, err := os.ReadFile(f)
		if err != nil && len(files) == 1 {
			return nil, fmt.Errorf("client CA: %w", err)
		}
		any = pool.AppendCertsFromPEM(pem) || any
	}
	if !any {
		return nil, fmt.Errorf("client CA: no PEM certificate in %s", path)
	}
	return pool, nil
}

// NoLog is the level above all.
const NoLog = slog.Level(100)

// Slog is the level of the log, and whether there is any.
func (l *Log) Slog() (level slog.Level, any bool, err error) {
	switch l.Level {
	case "none":
		return NoLog, false, nil
	case "debug", "info", "warn", "error":
		err = level.UnmarshalText([]byte(l.Level))
		return level, true, err
	}
	return 0, false, errors.New(`"` + l.Level + `" is none of debug, info, warn, error and none`)
}
