package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/protect"
	"github.com/midgemq/midge/transport"
)

// An adminServer serves package admin. nil: there is none.
type adminServer struct {
	url     string // with the port in force
	handler *admin.Handler
	server  http.Server
	tls     atomic.Pointer[tls.Config]
	ended   chan error
}

// adminRules are what a reload can change.
type adminRules struct {
	token string
	tls   *tls.Config
}

// adminRulesFor reads every file that [admin] names.
func adminRulesFor(a *config.Admin) (r adminRules, err error) {
	if a.URL == "" {
		return r, nil
	}
	var bad error
	r.token, bad = a.Token()
	r.tls, err = a.TLS()
	return r, errors.Join(bad, err)
}

// openAdmin binds the address of a and serves b there.
func openAdmin(a *config.Admin, b *midge.Broker, shield *protect.Shield, log *slog.Logger) (*adminServer, error) {
	if a.URL == "" {
		return nil, nil
	}
	rules, err := adminRulesFor(a)
	if err != nil {
		return nil, err
	}
	ln, where, err := listenAdmin(a)
	if err != nil {
		return nil, fmt.Errorf("admin.url: %w", err)
	}
	s := &adminServer{
		url:     where,
		handler: admin.New(admin.Config{Broker: b, Shield: shield, Token: rules.token, Profiles: a.Profiles, Logger: log}),
		ended:   make(chan error, 1),
	}
	s.server = http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // scanners, mostly
	}
	s.tls.Store(rules.tls)
	if rules.tls != nil {
		ln = tls.NewListener(ln, &tls.Config{
			NextProtos:         rules.tls.NextProtos,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.tls.Load(), nil },
		})
	}
	if a.Clear() {
		log.Warn("the token of the admin address goes over the network as it is; https keeps it secret", "url", where)
	}
	go func() { s.ended <- s.server.Serve(ln) }()
	return s, nil
}

// listenAdmin binds. A unix socket that a process left behind is taken over.
func listenAdmin(a *config.Admin) (net.Listener, string, error) {
	u, err := url.Parse(a.URL)
	if err != nil {
		return nil, "", err
	}
	mode, err := a.Mode()
	if err != nil {
		return nil, "", err
	}
	where, opt := a.URL, transport.Options{}
	if u.Scheme == "unix" {
		opt.UnixMode = mode
	} else {
		where = "tcp://" + u.Host
	}
	ln, err := transport.Listen(context.Background(), where, opt)
	if err != nil {
		return nil, "", err
	}
	if u.Scheme != "unix" {
		where = u.Scheme + "://" + ln.Addr().String()
	}
	return plain{ln}, where, nil
}

// plain is a Listener as package net has them.
type plain struct{ transport.Listener }

func (p plain) Accept() (net.Conn, error) { return p.Listener.Accept() }

// apply puts what has been read in force.
func (s *adminServer) apply(r adminRules) {
	if s == nil {
		return
	}
	s.handler.SetToken(r.token)
	s.tls.Store(r.tls)
}

// close ends it; a question that is being answered has a second.
func (s *adminServer) close() error {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
	if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

// adminURL is what --admin and --url say: an address is one of http, a path one
// of a unix socket.
func adminURL(s string) string {
	switch {
	case strings.Contains(s, "://"):
		return s
	case strings.ContainsRune(s, '/'):
		return "unix://" + s
	}
	return "http://" + s
}

// greet says where it is and how to try it.
func (s *adminServer) greet(out io.Writer) {
	if s != nil {
		fmt.Fprintf(out, "  seen at %s; try: midge top --url %s\n", s.url, s.url)
	}
}
