package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// exitTimeout is what the tools end with when -W is over: libmosquitto's
// MOSQ_ERR_TIMEOUT.
const exitTimeout = 27

// An exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error // nil: all has been said
}

var errTimeout = &exitError{exitTimeout, context.DeadlineExceeded}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }

// A toolRun is one call of pub, sub or rr.
type toolRun struct {
	o         *toolOptions
	c         *client.Client
	out, errs io.Writer
	tty       bool       // out is a terminal
	ended     chan error // the client has stopped for good
	servers   int        // how many there are to try
	tries     int        // owned by retry

	ready  chan struct{} // closed by listen
	handle func(client.Message)
}

// A lockedWriter is for several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// stdin is replaced by tests.
var stdin io.Reader = os.Stdin

// tool makes a command of what pub, sub or rr do once there is a client.
func tool(name, text string, work func(context.Context, *toolRun) error) func(context.Context, []string, io.Writer, io.Writer) error {
	return func(ctx context.Context, args []string, out, errs io.Writer) error {
		o, err := parseTool(name, args)
		switch {
		case errors.Is(err, errHelp):
			toolHelp(out, name, text)
			return errHelp
		case errors.Is(err, errVersion):
			return version(ctx, nil, out, errs)
		case err != nil:
			fmt.Fprintf(errs, "Error: %v\n\nUse 'midge %s --help' to see usage.\n", err, name)
			return &exitError{code: 1}
		}
		r := &toolRun{
			o: o, out: &lockedWriter{w: out}, errs: errs, tty: terminal(out) != nil,
			ended: make(chan error, 1), ready: make(chan struct{}),
		}
		if err = r.open(ctx); err == nil {
			err = work(ctx, r)
			r.close()
		}
		return r.outcome(err)
	}
}

// outcome says what went wrong and turns it into an exit code.
func (r *toolRun) outcome(err error) error {
	code, hint := 1, ""
	var refused *client.ConnectError
	var exit *exitError
	var reason *client.ReasonError
	var dial *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	case errors.As(err, &exit):
		code, err = exit.code, exit.err
	case errors.As(err, &refused):
		if code = int(refused.Code); refused.Return != mqtt.Accepted {
			code = int(refused.Return)
		}
		err = fmt.Errorf("connection refused: %v", refused.Code)
	case errors.As(err, &reason):
		code = int(reason.Code)
	case errors.As(err, &dial) && dial.Op == "dial":
		hint = "\nIs there a broker? 'midge' starts one here; -h and -p say where another is."
	}
	switch {
	case err == nil || r.o.quiet:
	case code == exitTimeout:
		fmt.Fprintln(r.errs, "Timed out")
	default:
		fmt.Fprintf(r.errs, "Error: %v%s\n", err, hint)
	}
	return &exitError{code: code}
}

// open makes the client and connects once: a tool that cannot is told so at
// once, one that has been connected stays.
func (r *toolRun) open(ctx context.Context) error {
	cfg, err := r.config(ctx)
	if err != nil {
		return err
	}
	if r.c, err = client.New(cfg); err != nil {
		return err
	}
	if r.o.debug {
		r.say("Client %s sending CONNECT", cfg.ClientID)
	}
	if err := r.c.Connect(ctx); err != nil {
		r.close()
		return err
	}
	return nil
}

// close says goodbye, in the client's own way.
func (r *toolRun) close() {
	if p := &r.o.properties; p.disconnectUser != nil || p.disconnect != nil {
		g := client.Goodbye{User: p.disconnectUser}
		if p.disconnect != nil {
			if g.SessionExpiry = time.Duration(*p.disconnect) * time.Second; g.SessionExpiry == 0 {
				g.SessionExpiry = -1
			}
		}
		r.c.Disconnect(g)
	}
	r.c.Close()
	<-r.c.Done()
}

// listen begins to hand out messages.
func (r *toolRun) listen(h func(client.Message)) {
	r.handle = h
	close(r.ready)
}

// message is the client's only handler, so that a message comes once however
// many filters match it. It is there from before the connection, since what a
// session has kept comes at once. What is not acknowledged stays with the
// broker.
func (r *toolRun) message(ctx context.Context, m client.Message) {
	select {
	case <-r.ready:
		r.handle(m)
	case <-ctx.Done():
	}
}

// aside returns what f does, or the end of ctx or of the client if that is
// sooner: a terminal may take its time, and cannot be interrupted.
func aside[T any](ctx context.Context, r *toolRun, f func() (T, error)) (got T, err error) {
	done := make(chan struct{})
	var late T
	var failed error
	go func() {
		defer close(done)
		late, failed = f()
	}()
	select {
	case <-done:
		return late, failed
	case err := <-r.ended:
		return got, err
	case <-ctx.Done():
		return got, ctx.Err()
	}
}

func (r *toolRun) say(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

func (r *toolRun) config(ctx context.Context) (client.Config, error) {
	o, p := r.o, &r.o.properties
	cfg := client.Config{
		Servers: []string{o.server()},
		Backoff: client.Backoff{Min: time.Second, Max: 30 * time.Second},
		Retry:   r.retry,
		Options: client.Options{
			Version: o.version, ClientID: o.id, Username: o.username,
			KeepAlive: time.Duration(o.keepAlive) * time.Second, MaxInflight: o.window,
			ReceiveMaximum: p.receiveMaximum, MaxPacketSize: p.maxPacket, TopicAliasMaximum: p.aliasMaximum,
			User: p.connectUser, LocalAddr: o.bind, Proxy: o.proxy,
			RequestResponseInfo: p.responseInfo != nil && *p.responseInfo,
			NoProblemInfo:       p.problemInfo != nil && !*p.problemInfo,
			ManualAck:           true,
			Handler:             r.message,
		},
	}
	if o.hasPassword {
		cfg.Password = []byte(o.password)
	}
	if o.hasWill {
		cfg.Will = &o.will
	}
	if p.authMethod != "" {
		cfg.Auth = fixedAuth{p.authMethod, p.authData}
	}
	switch {
	case o.idPrefix != "":
		cfg.ClientID = o.idPrefix + strconv.Itoa(os.Getpid())
	case o.id == "":
		cfg.ClientID = client.RandomID("mosq-")
	}
	if err := r.lifetime(&cfg); err != nil {
		return cfg, err
	}
	if o.debug {
		cfg.OnEvent = r.debug
	}
	if o.srv {
		if err := r.lookup(ctx, &cfg); err != nil {
			return cfg, err
		}
	}
	r.servers = len(cfg.Servers)
	if o.secure() {
		t, err := o.tlsConfig()
		if err != nil {
			return cfg, err
		}
		cfg.TLS = t
	}
	return cfg, nil
}

// lifetime is -c and -x.
func (r *toolRun) lifetime(cfg *client.Config) error {
	o := r.o
	cfg.CleanStart = !o.keep
	cfg.SessionExpiry = -1
	if o.keep {
		cfg.SessionExpiry = client.Forever
	}
	if o.expiry != "" {
		d, err := expiry(o.expiry)
		if err != nil {
			return err
		}
		if cfg.SessionExpiry = d; d == 0 {
			cfg.SessionExpiry = -1
		}
	}
	return nil
}

// retry ends a tool that no server lets in, and goes on otherwise.
func (r *toolRun) retry(err error, pause time.Duration) (time.Duration, error) {
	var refused *client.ConnectError
	never := r.c.Stats().Connects == 0
	if r.tries++; never && r.tries < r.servers {
		return 0, nil
	}
	if never || errors.As(err, &refused) {
		r.end(err)
		return 0, err
	}
	pause, stop := client.DefaultRetry(err, pause)
	if stop != nil {
		r.end(stop)
	}
	return pause, stop
}

func (r *toolRun) end(err error) {
	select {
	case r.ended <- err:
	default:
	}
}

// debug says what -d wants to hear.
func (r *toolRun) debug(e client.Event) {
	switch e := e.(type) {
	case client.StateEvent:
		switch e.State {
		case client.Connected:
			r.say("Client %s received CONNACK (0)", e.Info.ClientID)
		case client.Pausing:
			r.say("Client is not connected: %v; next try in %v", e.Err, e.RetryIn.Round(time.Millisecond))
		}
	case client.SubscribedEvent:
		r.say("Subscribed (%s): %d", e.Filter, e.Code)
	}
}

// lookup finds servers by DNS.
func (r *toolRun) lookup(ctx context.Context, cfg *client.Config) error {
	service := "mqtt"
	if r.o.secure() {
		service = "secure-mqtt"
	}
	_, all, err := net.DefaultResolver.LookupSRV(ctx, service, "tcp", r.o.host)
	if err != nil {
		return err
	}
	cfg.Servers = nil
	for _, srv := range all {
		o := *r.o
		o.host, o.port, o.useTLS = strings.TrimSuffix(srv.Target, "."), int(srv.Port), r.o.secure()
		cfg.Servers = append(cfg.Servers, o.server())
	}
	return nil
}

func (o *toolOptions) tlsConfig() (*client.TLS, error) {
	t := o.tls
	if o.caDir != "" {
		files, _ := filepath.Glob(filepath.Join(o.caDir, "*"))
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err == nil && strings.Contains(string(b), "BEGIN CERTIFICATE") {
				t.CA = append(append(t.CA, b...), '\n')
			}
		}
		if t.CA == nil {
			return nil, fmt.Errorf("no certificate in %s", o.caDir)
		}
	}
	if o.keyLog != "" {
		f, err := os.OpenFile(o.keyLog, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		t.Base = &tls.Config{KeyLogWriter: f} // closed with the program
	}
	return &t, nil
}

// fixedAuth is a method with one message, which -D gives.
type fixedAuth struct {
	method string
	data   []byte
}

func (f fixedAuth) Method() string                                   { return f.method }
func (f fixedAuth) Start(context.Context) ([]byte, error)            { return f.data, nil }
func (f fixedAuth) Finish(context.Context, []byte) error             { return nil }
func (f fixedAuth) Continue(context.Context, []byte) ([]byte, error) { return f.data, nil }

// terminal returns w as a file if it is a terminal.
func terminal(w io.Writer) *os.File {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return f
}
