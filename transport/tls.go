package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"
)

// ALPN is the protocol name registered for MQTT.
const ALPN = "mqtt"

// ClientAuth says what a TLS listener wants to see of its clients.
type ClientAuth int

const (
	NoClientCert       ClientAuth = iota // not asked for
	OptionalClientCert                   // asked for, and verified when given
	RequireClientCert                    // verified, or no connection
)

// ServerTLS is what a TLS listener needs. The zero value has no certificate
// and is refused.
type ServerTLS struct {
	// CertFile and KeyFile are PEM files, the leaf certificate first; they
	// add to Certificates, and both or neither are set.
	CertFile, KeyFile string
	Certificates      []tls.Certificate

	// ClientAuth other than NoClientCert needs ClientCAFile (PEM), ClientCAs,
	// or both.
	ClientAuth   ClientAuth
	ClientCAFile string
	ClientCAs    *x509.CertPool

	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13; 0: 1.2.
	MinVersion uint16

	// ALPN names the protocols a client may offer; nil: "mqtt". A client
	// that offers none is let in, one that offers only others is not.
	// Under wss, where HTTP comes first, it is always "http/1.1".
	ALPN []string

	// GetConfigForClient, when set, may replace the configuration for one
	// handshake, so that certificates change without a restart: build the
	// new one with ServerTLS.Config. A nil result keeps the present one.
	GetConfigForClient func(*tls.ClientHelloInfo) (*tls.Config, error)
}

// Config reads the files and returns the configuration of a server. Errors
// name the file.
func (s *ServerTLS) Config() (*tls.Config, error) {
	if s == nil {
		return nil, errors.New("TLS needs a certificate")
	}
	cfg := &tls.Config{
		Certificates:       slices.Clone(s.Certificates),
		MinVersion:         max(s.MinVersion, tls.VersionTLS12),
		NextProtos:         s.ALPN,
		GetConfigForClient: s.GetConfigForClient,
	}
	if s.MinVersion != 0 && s.MinVersion != tls.VersionTLS12 && s.MinVersion != tls.VersionTLS13 {
		return nil, fmt.Errorf("TLS minimum version %s is neither 1.2 nor 1.3", tls.VersionName(s.MinVersion))
	}
	if cfg.NextProtos == nil {
		cfg.NextProtos = []string{ALPN}
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		return nil, fmt.Errorf("certificate file %q and key file %q come together", s.CertFile, s.KeyFile)
	}
	if s.CertFile != "" {
		cert, err := loadKeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = append(cfg.Certificates, cert)
	}
	if len(cfg.Certificates) == 0 && s.GetConfigForClient == nil {
		return nil, errors.New("TLS needs a certificate")
	}
	return cfg, s.clientAuth(cfg)
}

func (s *ServerTLS) clientAuth(cfg *tls.Config) error {
	switch s.ClientAuth {
	case NoClientCert:
		return nil
	case OptionalClientCert:
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
	case RequireClientCert:
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return fmt.Errorf("client certificate policy %d is unknown", s.ClientAuth)
	}
	if s.ClientCAs == nil && s.ClientCAFile == "" {
		// Without this, Go would trust whatever CA the system trusts.
		return errors.New("client certificates need a client CA")
	}
	cfg.ClientCAs = x509.NewCertPool()
	if s.ClientCAs != nil {
		cfg.ClientCAs = s.ClientCAs.Clone()
	}
	if s.ClientCAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(s.ClientCAFile)
	if err != nil {
		return fmt.Errorf("client CA: %w", err)
	}
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("client CA: no PEM certificate in %s", s.ClientCAFile)
	}
	return nil
}

// overHTTP negotiates HTTP where MQTT would be: under wss.
func overHTTP(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	if choose := config.GetConfigForClient; choose != nil {
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil {
				return nil, err
			}
			chosen = chosen.Clone()
			chosen.NextProtos = []string{"http/1.1"}
			return chosen, nil
		}
	}
	return config
}

// loadKeyPair names the file at fault, which tls.LoadX509KeyPair does not.
func loadKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s, key %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

// A tlsListener accepts at once and leaves the handshake to Conn.Handshake.
type tlsListener struct {
	net.Listener
	config *tls.Config
}

func newTLSListener(ln net.Listener, config *tls.Config, opts Options) Listener {
	return &tlsListener{newFrontListener(ln, opts), config}
}

func (l *tlsListener) Accept() (Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tlsConn{tls.Server(c, l.config)}, nil
}

func (l *tlsListener) String() string { return urlOf(TLS, l.Addr().String()) }

// A tlsConn serves both ends.
type tlsConn struct{ *tls.Conn }

func (c *tlsConn) Kind() Kind                { return TLS }
func (c *tlsConn) TLS() *tls.ConnectionState { return tlsState(c.Conn) }

func (c *tlsConn) Close() error { return closeTLS(c.Conn) }

// Handshake takes a goroutine of its own: the stack it needs is ten times what
// the one that waits for an idle client does with.
func (c *tlsConn) Handshake(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- c.HandshakeContext(ctx) }()
	return <-done
}

// closeTLS gives the goodbye alert closeWait; crypto/tls would wait 5 s for a
// peer that reads nothing.
func closeTLS(c *tls.Conn) error {
	t := time.AfterFunc(closeWait, func() { c.NetConn().Close() })
	defer t.Stop()
	return c.Close()
}

func tlsState(c net.Conn) *tls.ConnectionState {
	tc, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	state := tc.ConnectionState()
	if !state.HandshakeComplete {
		return nil
	}
	return &state
}

// clientTLS runs the client's handshake on raw. The configuration may name
// other protocols than MQTT's, but none where HTTP is spoken.
func clientTLS(ctx context.Context, raw net.Conn, config *tls.Config, name, alpn string) (*tls.Conn, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if config != nil {
		cfg = config.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = name
	}
	if cfg.NextProtos == nil || alpn != ALPN {
		cfg.NextProtos = []string{alpn}
	}
	c := tls.Client(raw, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return c, nil
}
