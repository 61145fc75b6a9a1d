package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/store/disk"
	"github.com/midgemq/midge/transport"
)

// serveFlags are the options of midge serve.
type serveFlags struct {
	urls              []string // in the order given
	cert, key, cafile string
	requireCert       bool
	wsPath            string
	origins           list
	verbose           bool
	data              dataFlags
}

// A list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func (f *serveFlags) define(fs *flag.FlagSet) {
	for _, kind := range []struct{ name, usage string }{
		{"tcp", "listen for MQTT on `host:port`"},
		{"tls", "listen for MQTT over TLS on `host:port`"},
		{"ws", "listen for MQTT over WebSocket on `host:port`"},
		{"wss", "listen for MQTT over WebSocket and TLS on `host:port`"},
	} {
		fs.Func(kind.name, kind.usage+" (repeatable)", func(addr string) error {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				return fmt.Errorf("want host:port, such as :1883 or 127.0.0.1:1883")
			}
			addr = kind.name + "://" + addr
			if kind.name == "ws" || kind.name == "wss" {
				addr += "\x00" // the path is known once all flags are
			}
			f.urls = append(f.urls, addr)
			return nil
		})
	}
	fs.Func("unix", "listen for MQTT on the unix socket `path` (repeatable)", func(path string) error {
		path, err := filepath.Abs(path)
		u := url.URL{Scheme: "unix", Path: path} // # ? and % are part of the name
		f.urls = append(f.urls, u.String())
		return err
	})
	fs.StringVar(&f.cert, "cert", "", "PEM `file` with the certificate for --tls and --wss")
	fs.StringVar(&f.key, "key", "", "PEM `file` with its private key")
	fs.StringVar(&f.cafile, "cafile", "", "PEM `file` with the authorities client certificates are checked against")
	fs.BoolVar(&f.requireCert, "require-cert", false, "let nobody in without a client certificate (needs --cafile)")
	fs.StringVar(&f.wsPath, "ws-path", "/mqtt", "`path` of --ws and --wss")
	fs.Var(&f.origins, "ws-origin", "`origin` of web pages that may connect, such as https://example.org; * is any (repeatable; default: pages of this host)")
	fs.BoolVar(&f.verbose, "v", false, "log every connection")
	f.data.define(fs)
}

// listeners makes the configuration's listeners of the flags; handed are
// sockets that are served besides.
func (f *serveFlags) listeners(handed *service) ([]midge.Listener, error) {
	var all []midge.Listener
	if len(handed.sockets) > 0 {
		all = []midge.Listener{} // no default
	}
	secure := handed.secure()
	for _, url := range f.urls {
		kind, _, _ := strings.Cut(url, ":")
		secure = secure || kind == "tls" || kind == "wss"
		all = append(all, midge.Listener{URL: strings.Replace(url, "\x00", f.wsPath, 1), Options: f.options(kind)})
	}
	switch {
	case secure && (f.cert == "" || f.key == ""):
		return nil, errors.New("--tls and --wss need --cert and --key")
	case !secure && (f.cert != "" || f.key != "" || f.cafile != "" || f.requireCert):
		return nil, errors.New("--cert, --key, --cafile and --require-cert need --tls or --wss")
	case f.requireCert && f.cafile == "":
		return nil, errors.New("--require-cert needs --cafile")
	}
	return all, nil
}

// options are those of a listener of this kind.
func (f *serveFlags) options(kind string) (o transport.Options) {
	o.WebSocket.Origins = f.origins
	if kind == "tls" || kind == "wss" {
		o.TLS = f.tls()
	}
	return o
}

func (f *serveFlags) tls() *transport.ServerTLS {
	t := &transport.ServerTLS{CertFile: f.cert, KeyFile: f.key, ClientCAFile: f.cafile}
	switch {
	case f.requireCert:
		t.ClientAuth = transport.RequireClientCert
	case f.cafile != "":
		t.ClientAuth = transport.OptionalClientCert
	}
	return t
}

func serve(ctx context.Context, args []string, out, errs io.Writer) error {
	var f serveFlags
	fs := newFlags("serve", out, errs, "midge serve [options]", `
Runs an MQTT broker until it is interrupted. Without a listener it listens on
`+strings.TrimPrefix(midge.DefaultListen, "tcp://")+`. Port 0 lets the system choose.
With --data, what it has acknowledged outlives it. A service manager that asks
(systemd: Type=notify, WatchdogSec=) hears when it is ready and how it is, and
may hand its sockets over; one named tls, ws or wss (FileDescriptorName=) is
served as that, any other as plain MQTT.

Examples:
  midge serve --tcp :1883 --tcp [::1]:2883
  midge serve --tls :8883 --wss :8443 --cert server.pem --key server.key
  midge serve --unix /run/midge.sock
  midge serve --data /var/lib/midge
  midge serve --data /var/lib/midge --durability interval --interval 200ms`)
	f.define(fs.FlagSet)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: level}))
	svc, err := newService(log)
	if err != nil {
		return err
	}
	listeners, err := f.listeners(svc)
	if err != nil {
		return usage(fs, err)
	}
	keep, err := f.data.options()
	if err != nil {
		return usage(fs, err)
	}
	r := running{cfg: midge.Config{Listeners: listeners, Logger: log}, flags: &f, svc: svc, out: out}
	if keep != nil {
		if r.data, err = f.data.openData(keep, svc, errs); err != nil {
			return err
		}
		r.cfg.Store = r.data
	}
	return r.until(ctx)
}

// A running is one broker with all that belongs to it.
type running struct {
	cfg   midge.Config
	flags *serveFlags
	svc   *service
	data  *disk.Store // nil: none
	out   io.Writer
}

// farewell is how long the end may take; a disk that hangs must not keep the
// process.
const farewell = 30 * time.Second

// until serves until ctx ends, and then ends in good order: nobody is accepted
// any more, everybody is told, and what there is to store is stored.
func (r *running) until(ctx context.Context) error {
	closeData := func() error { return nil }
	if r.data != nil {
		closeData = r.data.Close
	}
	b, err := midge.New(r.cfg)
	if err != nil {
		return errors.Join(fmt.Errorf("%w\n%s", err, advise(err)), closeData())
	}
	if err := r.svc.serveSockets(b, r.flags); err != nil {
		return errors.Join(err, b.Close(), closeData())
	}
	greet(r.out, b.Addrs())
	r.svc.tell(r.svc.Ready())
	if r.data != nil {
		debug.FreeOSMemory() // what reading the folder took is not needed again
	}
	var watching sync.WaitGroup
	watching.Go(func() { r.svc.watch(ctx, b, r.cfg.Store) })
	<-ctx.Done()
	r.svc.tell(r.svc.Stopping())
	fmt.Fprintln(r.out, "midge: stopping")
	ended := make(chan error, 1)
	go func() {
		watching.Wait()
		ended <- errors.Join(b.Close(), closeData())
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(farewell):
		return fmt.Errorf("gave up after %v: a connection or the disk does not let go", farewell)
	}
}

// greet says where the broker listens and how to try it.
func greet(out io.Writer, urls []string) {
	slices.Sort(urls)
	fmt.Fprintf(out, "midge %s listens on %s\n", midge.Version, strings.Join(urls, " "))
	for _, u := range urls {
		rest, ok := strings.CutPrefix(u, "tcp://")
		host, port, err := net.SplitHostPort(rest)
		if !ok || err != nil {
			continue
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		fmt.Fprintf(out, "  try: midge sub -h %s -p %s -t '#' -v   and   midge pub -h %s -p %s -t hello -m world\n",
			host, port, host, port)
		break
	}
}

// advise says what to do about an error that keeps the broker from starting.
func advise(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "address already in use"):
		return "another program listens there (another broker?): stop it, or choose another port, as in midge --tcp 127.0.0.1:1884"
	case strings.Contains(text, "permission denied"):
		return "ports below 1024 and foreign folders need rights this user has not"
	}
	return "midge serve --help has the options"
}
