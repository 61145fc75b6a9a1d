package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/internal/systemd"
	"github.com/midgemq/midge/protect"
)

// A flagError is the fault of the command line.
type flagError struct{ error }

// orUsage returns errUsage, having said why, if the command line is at fault.
func orUsage(fs *flagSet, err error) error {
	var f flagError
	if errors.As(err, &f) {
		return usage(fs, f.error)
	}
	return err
}

func (f *serveFlags) defineSources(fs *flag.FlagSet) {
	fs.StringVar(&f.file, "c", "", "read the configuration `file`; midge config prints one")
	fs.StringVar(&f.mosquitto, "mosquitto-conf", "", "read the `file` of Mosquitto instead")
	fs.BoolVar(&f.skipRefused, "skip-refused", false, "go on without what midge cannot do of --mosquitto-conf")
	fs.Var(&f.set, "set", "give the `section.key=value` of the configuration (repeatable)")
}

// config puts together what the file, the environment and the command line
// say. Called again for each reload.
func (f *serveFlags) config() (c *config.Config, err error) {
	c = config.Default()
	switch {
	case f.file != "" && f.mosquitto != "":
		return nil, flagError{errors.New("-c or --mosquitto-conf?")}
	case f.mosquitto != "":
		r, err := f.fromMosquitto()
		if err != nil {
			return nil, err
		}
		c, f.included = r.Config, slices.Concat(r.Files, r.Dirs)
	case f.file != "":
		if c, err = config.Load(f.file); err != nil {
			return nil, err
		}
	}
	if err := c.ReadEnv(os.Environ()); err != nil {
		return nil, err
	}
	if err := f.takeSet(c, false); err != nil {
		return nil, err
	}
	return c, f.apply(c)
}

// takeSet puts what --set says into c. Where the command line names listeners,
// listener.0 is the first of those: it is set once they are there.
func (f *serveFlags) takeSet(c *config.Config, late bool) error {
	for _, s := range f.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return flagError{fmt.Errorf("--set %s: want section.key=value", s)}
		}
		key = strings.TrimSpace(key)
		if (len(f.urls) > 0 && strings.HasPrefix(key, "listener.")) != late {
			continue
		}
		if err := c.Set(key, strings.TrimSpace(value)); err != nil {
			return flagError{fmt.Errorf("--set %w", err)}
		}
	}
	return nil
}

// apply puts what the short options say into c.
func (f *serveFlags) apply(c *config.Config) error {
	if f.anonymous {
		c.Auth.AllowAnonymous = &f.anonymous
		for i := range c.Listeners {
			c.Listeners[i].AllowAnonymous = nil
		}
	}
	c.Auth.PasswordFile = cmp.Or(f.passwords, c.Auth.PasswordFile)
	c.Auth.ACLFile = cmp.Or(f.acl, c.Auth.ACLFile)
	if f.admin != "" {
		c.Admin.URL = adminURL(f.admin)
	}
	if f.verbose {
		c.Log.Level, c.Log.Connections = "debug", true
	}
	d := f.data
	d.dir = cmp.Or(d.dir, c.Data.Dir)
	if _, err := d.options(); err != nil {
		return flagError{err}
	}
	c.Data.Dir = d.dir
	if d.durability != "" {
		c.Data.Durability, c.Data.Interval = d.durability, 0
	}
	if d.interval != 0 {
		c.Data.Interval = config.Duration(d.interval)
	}
	return nil
}

// complete gives c its listeners: those of the command line in place of the
// file's, and one for each socket that was handed over. Then c is checked.
func (f *serveFlags) complete(c *config.Config, svc *service) error {
	secure := slices.ContainsFunc(svc.sockets, func(k systemd.Socket) bool { return k.Name == "tls" || k.Name == "wss" })
	if len(f.urls) > 0 {
		c.Listeners = nil
	}
	for _, u := range f.urls {
		kind, _, _ := strings.Cut(u, ":")
		secure = secure || kind == "tls" || kind == "wss"
		f.fill(c.ListenAt(strings.Replace(u, "\x00", f.wsPath, 1)))
	}
	if err := f.takeSet(c, true); err != nil {
		return err
	}
	switch {
	case secure && len(f.urls)+len(svc.sockets) > 0 && (f.cert == "" || f.key == "") && !c.HasTLS():
		return flagError{errors.New("--tls and --wss need --cert and --key")}
	case !secure && (f.cert != "" || f.key != "" || f.cafile != "" || f.requireCert):
		return flagError{errors.New("--cert, --key, --cafile and --require-cert need --tls or --wss")}
	case f.requireCert && f.cafile == "":
		return flagError{errors.New("--require-cert needs --cafile")}
	}
	svc.serves = nil
	for i := range svc.sockets {
		u := socketURL(&svc.sockets[i], f.wsPath)
		n := slices.IndexFunc(c.Listeners, func(l config.Listener) bool { return config.Place(l.URL) == config.Place(u) })
		if n < 0 {
			n = len(c.Listeners)
			f.fill(c.ListenAt(u))
		}
		svc.serves = append(svc.serves, n)
	}
	c.Complete()
	if err := c.Check(); err != nil {
		if f.file == "" && f.mosquitto == "" {
			return fmt.Errorf("%w\nmidge config explains every key", err)
		}
		return fmt.Errorf("%s: %w", f.file+f.mosquitto, err)
	}
	return nil
}

// fill gives a listener what the command line says of its kind.
func (f *serveFlags) fill(l *config.Listener) {
	if strings.HasPrefix(l.URL, "ws") {
		l.Origins = f.origins
	}
	if !l.Secure() {
		return
	}
	l.Cert, l.Key, l.ClientCA = f.cert, f.key, f.cafile
	if f.cafile != "" {
		l.UserFromCert = "cn"
	}
	if f.requireCert {
		l.ClientCert = "require"
	}
}

// openLog opens the log. level can be changed while it is written to; file is
// nil where it is none.
func openLog(c *config.Log, out, errs io.Writer) (log *slog.Logger, level *slog.LevelVar, file *logFile, err error) {
	level = new(slog.LevelVar)
	set, _, err := c.Slog()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("log.level: %w", err)
	}
	level.Set(set)
	to := errs
	switch {
	case c.To == "stdout":
		to = out
	case c.ToFile():
		if file, err = openLogFile(c.To); err != nil {
			return nil, nil, nil, err
		}
		to = file
	}
	opt := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 && !c.Time {
			return slog.Attr{}
		}
		if a.Value.Kind() == slog.KindAny {
			if addr, ok := a.Value.Any().(net.Addr); ok { // in JSON, too
				a.Value = slog.StringValue(addr.String())
			}
		}
		return a
	}}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, opt)), level, file, nil
	}
	return slog.New(slog.NewTextHandler(to, opt)), level, file, nil
}

// sayWhoComesIn tells an operator what would otherwise be found out by clients:
// that nobody can come in, or that everybody can.
func sayWhoComesIn(log *slog.Logger, c *config.Config) {
	for i := range c.Listeners {
		switch l := &c.Listeners[i]; {
		case c.Locked(l):
			log.Warn("nobody can come in there: clients without credentials are let in on loopback alone, and there are no others; password_file, user_from_cert or allow_anonymous (--allow-anonymous) changes that", "listener", l.URL)
		case !l.Local() && c.Anonymous(l):
			log.Warn("everybody who can connect may come in without credentials", "listener", l.URL)
		}
	}
}

// shieldOf is how clients are protected from each other.
func shieldOf(c *config.Config, log *slog.Logger) protect.Config {
	s := c.Shield()
	s.Logger = log
	return s
}

// environMemory is the target without one of ours: that of GOMEMLIMIT.
var environMemory = debug.SetMemoryLimit(-1)

// applyMemory tells the collector of the target, or that there is none now.
func applyMemory(c *config.Config) {
	target := int64(c.Limits.Memory)
	if held := int64(c.Limits.MaxMemory); target == 0 && held > 0 {
		target = held + held/4 + 64<<20
	}
	if target == 0 {
		target = environMemory
	}
	debug.SetMemoryLimit(target)
}

// unixURL is a socket's: # ? and % are part of its name.
func unixURL(path string) (string, error) {
	path, err := filepath.Abs(path)
	return (&url.URL{Scheme: "unix", Path: path}).String(), err
}

var errHostPort = errors.New("want host:port, such as :1883 or 127.0.0.1:1883")

// hostPort checks an address of the command line.
func hostPort(addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return errHostPort
	}
	return nil
}
