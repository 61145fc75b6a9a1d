package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A pki is an authority, made for one test.
type pki struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{t: t, pool: x509.NewCertPool()}
	ca := p.issue("authority")
	p.key, p.cert = ca.PrivateKey.(*ecdsa.PrivateKey), ca.Leaf
	p.pool.AddCert(ca.Leaf)
	return p
}

// issue makes a certificate; the first is the authority's own.
func (p *pki) issue(name string) tls.Certificate {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		// Valid today and in a bubble, where it is the year 2000.
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		IsCA: p.cert == nil, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	parent, signer := p.cert, p.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		p.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *pki) server() *ServerTLS {
	return &ServerTLS{Certificates: []tls.Certificate{p.issue("broker")}}
}
func (p *pki) client() *tls.Config { return &tls.Config{RootCAs: p.pool} }

// write puts a certificate into PEM files.
func (p *pki) write(dir string, c tls.Certificate) (cert, key string) {
	p.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		p.t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		key:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	return cert, key
}

// shake runs both handshakes in a bubble's pipe and returns what each end
// made of it. In TLS 1.3 the client learns of a refusal with its first Read,
// so both ends speak a byte.
func shake(t *testing.T, server *ServerTLS, client *tls.Config) (c, s Conn, cerr, serr error) {
	t.Helper()
	l, p := overPipe(t, "tls://localhost", Options{TLS: server})
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s, serr = l.Accept(); serr != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if serr = s.Handshake(ctx); serr == nil {
			_, serr = s.Write([]byte("!"))
		} else {
			s.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if c, cerr = Dial(ctx, "tls://localhost", DialOptions{TLS: client, NetDial: p.netDial}); cerr == nil {
		_, cerr = c.Read(make([]byte, 1))
	}
	<-done
	if c != nil {
		c.Close()
	}
	if s != nil {
		s.Close()
	}
	return c, s, cerr, serr
}

func TestTLSHandshakes(t *testing.T) {
	authority, stranger := newPKI(t), newPKI(t)
	own, strange := authority.issue("device-1"), stranger.issue("device-1")
	for _, tt := range []struct {
		name    string
		server  func(*ServerTLS)
		client  func(*tls.Config)
		ok      bool
		version uint16
		alpn    string
		peer    string
	}{
		{name: "default", ok: true, version: tls.VersionTLS13, alpn: "mqtt"},
		{name: "client at 1.2", client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ok: true, version: tls.VersionTLS12, alpn: "mqtt"},
		{name: "client at 1.1", client: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }},
		{name: "1.2 to a server of 1.3", server: func(s *ServerTLS) { s.MinVersion = tls.VersionTLS13 }, client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{name: "no ALPN", client: func(c *tls.Config) { c.NextProtos = []string{} }, ok: true, version: tls.VersionTLS13},
		{name: "other ALPN", client: func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }},
		{name: "ALPN among others", client: func(c *tls.Config) { c.NextProtos = []string{"h2", "mqtt"} }, ok: true, version: tls.VersionTLS13, alpn: "mqtt"},
		{name: "ALPN configured", server: func(s *ServerTLS) { s.ALPN = []string{"x"} }, client: func(c *tls.Config) { c.NextProtos = []string{"x"} }, ok: true, version: tls.VersionTLS13, alpn: "x"},
		{name: "untrusted server", client: func(c *tls.Config) { c.RootCAs = stranger.pool }},
		{name: "wrong name", client: func(c *tls.Config) { c.ServerName = "elsewhere" }},
		{name: "optional, none", server: wants(authority, OptionalClientCert), ok: true, version: tls.VersionTLS13, alpn: "mqtt"},
		{name: "optional, good", server: wants(authority, OptionalClientCert), client: with(own), ok: true, version: tls.VersionTLS13, alpn: "mqtt", peer: "device-1"},
		{name: "optional, bad", server: wants(authority, OptionalClientCert), client: force(strange)},
		{name: "required, none", server: wants(authority, RequireClientCert)},
		{name: "required, good", server: wants(authority, RequireClientCert), client: with(own), ok: true, version: tls.VersionTLS13, alpn: "mqtt", peer: "device-1"},
		{name: "required, bad", server: wants(authority, RequireClientCert), client: force(strange)},
		{name: "not asked, given", client: with(own), ok: true, version: tls.VersionTLS13, alpn: "mqtt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := authority.server(), authority.client()
				if tt.server != nil {
					tt.server(server)
				}
				if tt.client != nil {
					tt.client(client)
				}
				_, s, cerr, serr := shake(t, server, client)
				if ok := cerr == nil && serr == nil; ok != tt.ok {
					t.Fatalf("client %v, server %v", cerr, serr)
				}
				if !tt.ok {
					return
				}
				state := s.TLS()
				if state.Version != tt.version || state.NegotiatedProtocol != tt.alpn {
					t.Errorf("version %s, ALPN %q", tls.VersionName(state.Version), state.NegotiatedProtocol)
				}
				if tt.peer == "" != (len(state.PeerCertificates) == 0) || tt.peer != "" && state.PeerCertificates[0].Subject.CommonName != tt.peer {
					t.Errorf("peer certificates %v", state.PeerCertificates)
				}
			})
		})
	}
}

func wants(p *pki, auth ClientAuth) func(*ServerTLS) {
	return func(s *ServerTLS) { s.ClientAuth, s.ClientCAs = auth, p.pool }
}

func with(c tls.Certificate) func(*tls.Config) {
	return func(cfg *tls.Config) { cfg.Certificates = []tls.Certificate{c} }
}

// force sends the certificate even though the server does not ask for its issuer.
func force(c tls.Certificate) func(*tls.Config) {
	return func(cfg *tls.Config) {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
	}
}

// A client that stalls in its handshake delays nobody and ends by its deadline.
func TestStalledTLSHandshake(t *testing.T) {
	authority := newPKI(t)
	synctest.Test(t, func(t *testing.T) {
		server, client := authority.server(), authority.client()
		l, p := overPipe(t, "tls://localhost", Options{TLS: server})
		defer l.Close()
		start := time.Now()
		stalled, err := p.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stalled.Write([]byte{0x16, 3, 1}) // the start of a ClientHello
		results := make(chan error, 2)
		serve := func() {
			c, err := l.Accept()
			if err != nil {
				results <- err
				return
			}
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				defer c.Close()
				results <- c.Handshake(ctx)
			}()
		}
		serve()
		go func() {
			c, err := Dial(t.Context(), "tls://localhost", DialOptions{TLS: client, NetDial: p.netDial})
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		}()
		serve()
		if err := <-results; err != nil || time.Since(start) != 0 {
			t.Errorf("the good client: %v after %v", err, time.Since(start))
		}
		if err := <-results; !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("the stalled client: %v after %v", err, time.Since(start))
		}
		if _, err := io.ReadAll(stalled); err != nil {
			t.Errorf("the stalled client reads %v", err)
		}
		stalled.Close()
	})
}

// A peer that reads nothing gets closeWait to take the goodbye, not 5 s.
func TestTLSCloseIsPrompt(t *testing.T) {
	authority := newPKI(t)
	synctest.Test(t, func(t *testing.T) {
		server, client := authority.server(), authority.client()
		l, p := overPipe(t, "tls://localhost", Options{TLS: server})
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Handshake(t.Context())
		}()
		c, err := Dial(t.Context(), "tls://localhost", DialOptions{TLS: client, NetDial: p.netDial})
		if err != nil {
			t.Fatal(err)
		}
		raw := c.(*tlsConn).NetConn()
		raw.SetWriteDeadline(time.Now().Add(time.Second))
		raw.Write(make([]byte, 2*PipeBuffer)) // the pipe is full now
		raw.SetWriteDeadline(time.Time{})
		start := time.Now()
		c.Close()
		if took := time.Since(start); took > closeWait {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestTLSFiles(t *testing.T) {
	authority := newPKI(t)
	dir := t.TempDir()
	cert, key := authority.write(dir, authority.issue("broker"))
	other := filepath.Join(dir, "other")
	os.Mkdir(other, 0o700)
	_, otherKey := authority.write(other, authority.issue("other"))
	junk := filepath.Join(dir, "junk.pem")
	os.WriteFile(junk, []byte("no PEM"), 0o600)
	for _, tt := range []struct {
		name string
		tls  ServerTLS
		want string // in the error; "" for none
	}{
		{"good", ServerTLS{CertFile: cert, KeyFile: key}, ""},
		{"good with CA", ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: RequireClientCert, ClientCAFile: cert}, ""},
		{"nothing", ServerTLS{}, "certificate"},
		{"key missing", ServerTLS{CertFile: cert}, cert},
		{"no such certificate", ServerTLS{CertFile: "/nowhere/c", KeyFile: key}, "/nowhere/c"},
		{"no such key", ServerTLS{CertFile: cert, KeyFile: "/nowhere/k"}, "/nowhere/k"},
		{"junk", ServerTLS{CertFile: junk, KeyFile: key}, junk},
		{"key of another", ServerTLS{CertFile: cert, KeyFile: otherKey}, otherKey},
		{"no CA", ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: OptionalClientCert}, "client CA"},
		{"no such CA", ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: OptionalClientCert, ClientCAFile: "/nowhere/ca"}, "/nowhere/ca"},
		{"junk CA", ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: OptionalClientCert, ClientCAFile: junk}, junk},
		{"unknown policy", ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: 9}, "policy"},
		{"TLS 1.1", ServerTLS{CertFile: cert, KeyFile: key, MinVersion: tls.VersionTLS11}, "1.1"},
	} {
		_, err := tt.tls.Config()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Certificates change while the listener runs, under both tls and wss.
func TestTLSReload(t *testing.T) {
	authority := newPKI(t)
	for _, url := range []string{"tls://127.0.0.1:0", "wss://127.0.0.1:0"} {
		next := ServerTLS{Certificates: []tls.Certificate{authority.issue("renewed")}}
		reloaded, err := next.Config()
		if err != nil {
			t.Fatal(err)
		}
		var current *tls.Config
		server := authority.server()
		server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil }
		l := listen(t, url, Options{TLS: server})
		for _, want := range []string{"broker", "renewed"} {
			client, _ := connect(t, l, DialOptions{TLS: authority.client()})
			if got := client.TLS().PeerCertificates[0].Subject.CommonName; got != want {
				t.Errorf("%s: certificate of %q, want %q", url, got, want)
			}
			current = reloaded
		}
	}
}
