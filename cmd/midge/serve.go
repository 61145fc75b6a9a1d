package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/protect"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/disk"
)

// serveFlags are the options of midge serve. Most are short for keys of the
// configuration.
type serveFlags struct {
	file, mosquitto   string
	skipRefused       bool
	included          []string // by the last reading
	set               list
	urls              []string // in the order given
	cert, key, cafile string
	requireCert       bool
	wsPath            string
	origins           list
	anonymous         bool
	passwords, acl    string
	admin             string
	verbose           bool
	data              dataFlags
}

// A list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func (f *serveFlags) define(fs *flag.FlagSet) {
	f.defineSources(fs)
	for _, kind := range []struct{ name, usage string }{
		{"tcp", "listen for MQTT on `host:port`"},
		{"tls", "listen for MQTT over TLS on `host:port`"},
		{"ws", "listen for MQTT over WebSocket on `host:port`"},
		{"wss", "listen for MQTT over WebSocket and TLS on `host:port`"},
	} {
		fs.Func(kind.name, kind.usage+" (repeatable)", func(addr string) error {
			if err := hostPort(addr); err != nil {
				return err
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
		u, err := unixURL(path)
		f.urls = append(f.urls, u)
		return err
	})
	fs.StringVar(&f.cert, "cert", "", "PEM `file` with the certificate for --tls and --wss")
	fs.StringVar(&f.key, "key", "", "PEM `file` with its private key")
	fs.StringVar(&f.cafile, "cafile", "", "PEM `file` with the authorities client certificates are checked against")
	fs.BoolVar(&f.requireCert, "require-cert", false, "let nobody in without a client certificate (needs --cafile)")
	fs.StringVar(&f.wsPath, "ws-path", "/mqtt", "`path` of --ws and --wss")
	fs.Var(&f.origins, "ws-origin", "`origin` of web pages that may connect, such as https://example.org; * is any (repeatable; default: pages of this host)")
	fs.BoolVar(&f.anonymous, "allow-anonymous", false, "let in clients without credentials, on every listener (default: on loopback and unix sockets alone)")
	fs.StringVar(&f.passwords, "password-file", "", "`file` with users and passwords, as midge passwd or mosquitto_passwd write it")
	fs.StringVar(&f.acl, "acl-file", "", "`file` with rules about topics, Mosquitto's or midge's")
	fs.StringVar(&f.admin, "admin", "", "serve metrics, health and what midge top shows at `url`: host:port of this machine, or the path of a unix socket")
	fs.BoolVar(&f.verbose, "v", false, "log every connection")
	f.data.define(fs)
}

func serve(ctx context.Context, args []string, out, errs io.Writer) error {
	var f serveFlags
	fs := newFlags("serve", out, errs, "midge serve [options]", `
Runs an MQTT broker until it is interrupted. Without a listener it listens on
`+strings.TrimPrefix(midge.DefaultListen, "tcp://")+`. Port 0 lets the system choose.
A configuration file (-c) has more to say, see midge config; what is given here
comes before the environment (MIDGE_SECTION_KEY), and that before the file.
Clients without credentials are let in where nobody else can connect, on
loopback and unix sockets; --allow-anonymous lets them in everywhere. SIGHUP and
midge reload read the files again without dropping anybody who may stay.

With --data, what it has acknowledged outlives it. A service manager that asks
(systemd: Type=notify, WatchdogSec=) hears when it is ready and how it is, and
may hand its sockets over; one named tls, ws or wss (FileDescriptorName=) is
served as that, any other as plain MQTT.

Examples:
  midge serve --tcp :1883 --tcp [::1]:2883
  midge serve -c /etc/midge/midge.toml
  midge serve --mosquitto-conf /etc/mosquitto/mosquitto.conf
  midge serve --tcp :1883 --password-file passwords --acl-file acl
  midge serve --tls :8883 --wss :8443 --cert server.pem --key server.key
  midge serve --set limits.max_packet_size=64KiB
  midge serve --unix /run/midge.sock
  midge serve --tcp :1883 --admin 127.0.0.1:9883
  midge serve --data /var/lib/midge
  midge serve --data /var/lib/midge --durability interval --interval 200ms`)
	f.define(fs.FlagSet)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	seen := stamps{}
	seen.add(f.sources())
	cfg, err := f.config()
	if err != nil {
		return orUsage(fs, err)
	}
	seen.add(append(cfg.Files(), f.sources()...))
	log, level, file, err := openLog(&cfg.Log, out, errs)
	if err != nil {
		return err
	}
	if file != nil {
		defer file.Close()
	}
	svc, err := newService(log)
	if err != nil {
		return err
	}
	if err := f.complete(cfg, svc); err != nil {
		return orUsage(fs, err)
	}
	r := running{cfg: cfg, flags: &f, seen: seen, svc: svc, out: out, log: log, level: level, logFile: file}
	keep, err := cfg.Data.Options()
	if err != nil {
		return err
	}
	if r.doors, err = newDoors(cfg, log); err != nil {
		return err
	}
	if keep != nil {
		if r.data, err = openData(cfg.Data.Dir, keep, svc, errs); err != nil {
			return err
		}
	}
	return r.until(ctx)
}

// A running is one broker with all that belongs to it.
type running struct {
	cfg     *config.Config // owned by the goroutine of until
	flags   *serveFlags
	seen    stamps // of the files that cfg was read from; owned by the goroutine of until
	svc     *service
	doors   *doors
	data    *disk.Store // nil: none
	admin   *adminServer
	shield  *protect.Shield
	trace   traceLog
	sending sending
	out     io.Writer
	log     *slog.Logger
	level   *slog.LevelVar

	logFile *logFile // nil: none
	pid     *os.File // nil: none
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
	send, err := telemetryFor(r.cfg)
	if err != nil {
		return errors.Join(err, closeData())
	}
	told, stop := hangUps() // before anybody learns of the process
	defer stop()
	b, err := r.start()
	if err != nil {
		return errors.Join(err, closeData())
	}
	if r.admin, err = openAdmin(&r.cfg.Admin, b, r.shield, r.log); err != nil {
		return errors.Join(err, b.Close(), closeData())
	}
	r.trace.apply(b, r.cfg.Trace, r.log)
	r.sending.apply(send, b, r.shield, r.log)
	greet(r.out, b.Addrs())
	r.admin.greet(r.out)
	sayWhoComesIn(r.log, r.cfg)
	r.svc.tell(r.svc.Ready())
	if r.data != nil {
		debug.FreeOSMemory() // what reading the folder took is not needed again
	}
	var watching sync.WaitGroup
	watching.Go(func() { r.svc.watch(ctx, b, r.store()) })
	watching.Go(func() { newSettler().run(ctx) })
	r.reloadUntil(ctx, b, told)
	defer r.trace.end() // with the broker
	removePID(r.pid)
	r.svc.tell(r.svc.Stopping())
	fmt.Fprintln(r.out, "midge: stopping")
	ended := make(chan error, 1)
	go func() {
		watching.Wait()
		r.sending.end()
		ended <- errors.Join(b.Close(), closeData(), r.admin.close())
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(farewell):
		return fmt.Errorf("gave up after %v: a connection or the disk does not let go", farewell)
	}
}

// start makes the broker, and has it serve what it is to serve.
func (r *running) start() (*midge.Broker, error) {
	var err error
	if r.shield, err = protect.New(shieldOf(r.cfg, r.log)); err != nil {
		return nil, err
	}
	r.doors.admit = r.shield.Admits
	cfg := r.cfg.Broker()
	cfg.Logger, cfg.Store = r.log, r.store()
	cfg.Listeners = r.doors.listeners(r.svc.serves)
	r.doors.install(&cfg.Hooks)
	r.shield.Install(&cfg.Hooks) // in front of them
	cfg.ListenerRate = r.doors.rate
	applyMemory(r.cfg)
	b, err := midge.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, advise(err))
	}
	r.shield.Protect(b)
	if err := r.svc.serveSockets(b, r.doors); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if r.pid, err = writePID(r.cfg.Process.PIDFile); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (r *running) store() store.Store {
	if r.data == nil {
		return nil
	}
	return r.data
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
	if limit, used, ok := openFiles(); ok {
		fmt.Fprintf(out, "  room for %s: it may have %s files open (ulimit -n)\n", count(limit-used, "connection"), group(limit))
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
