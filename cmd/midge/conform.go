package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/midgemq/midge/conform"
	"github.com/midgemq/midge/transport"
)

func conformCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("conform", out, errs, "midge conform [options] ADDR", `
Tests the broker at ADDR against every statement of MQTT 3.1.1 and 5.0 that can
be seen from outside. ADDR is host:port or a URL: tcp, tls, ws, wss, unix; what
is particular to WebSocket is tested with ws and wss. The broker is published
to, below topics that begin with cf; sessions and retained messages of the
tests are deleted as far as the broker lets them be.
Exits with 1 if a check fails.

Examples:
  midge conform 127.0.0.1:1883
  midge conform --run 'will|retain' --json ws://127.0.0.1:8080/mqtt`)
	asJSON := fs.Bool("json", false, "print the outcome as JSON")
	pattern := fs.String("run", "", "run the checks whose name this `regexp` matches")
	fast := fs.Bool("fast", false, "leave out checks that wait for seconds")
	user := fs.String("user", "", "user `name` for every connection")
	password := fs.String("password", "", "`password` for every connection")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	filter, err := conform.Match(*pattern)
	if err != nil {
		return usage(fs, err)
	}
	target, err := targetAt(fs.Arg(0))
	if err != nil {
		return usage(fs, err)
	}
	target.NoSlow, target.User, target.Password = *fast, *user, *password
	nc, err := target.Dial(ctx)
	if err != nil {
		return fmt.Errorf("no broker to test: %w", err)
	}
	nc.Close()

	show := progress(errs, filter)
	report := conform.Run(ctx, target, filter, show)
	show(conform.Result{})
	write := report.WriteText
	if *asJSON {
		write = report.WriteJSON
	}
	if err := write(out); err != nil {
		return err
	}
	if n := report.Count(conform.Fail); n > 0 {
		return fmt.Errorf("%d checks failed", n)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return nil
}

// targetAt is the broker at an address: host:port or a URL.
func targetAt(addr string) (conform.Target, error) {
	if !strings.Contains(addr, "://") && !strings.HasPrefix(addr, "unix:") {
		addr = "tcp://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil {
		return conform.Target{}, fmt.Errorf("want host:port or a URL: %q", addr)
	}
	dial := func(to string, opts transport.DialOptions) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) { return transport.Dial(ctx, to, opts) }
	}
	t := conform.Target{Name: addr, Dial: dial(addr, transport.DialOptions{}), HTTPPath: u.Path}
	switch u.Scheme {
	case "ws":
		t.DialHTTP = dial("tcp://"+withPort(u, "80"), transport.DialOptions{})
	case "wss":
		t.DialHTTP = dial("tls://"+withPort(u, "443"),
			transport.DialOptions{TLS: &tls.Config{NextProtos: []string{"http/1.1"}}})
	}
	return t, nil
}

func withPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// progress draws one line that is written over, on a terminal only. An empty
// result clears it.
func progress(errs io.Writer, filter conform.Filter) func(conform.Result) {
	f := terminal(errs)
	if f == nil {
		return func(conform.Result) {}
	}
	total, done, failed := 0, 0, 0
	for _, c := range conform.Cases() {
		if filter(c) {
			total++
		}
	}
	return func(r conform.Result) {
		if r.Outcome == "" {
			fmt.Fprint(f, "\r\x1b[K")
			return
		}
		done++
		if r.Outcome == conform.Fail {
			failed++
		}
		const width = 30
		bar := strings.Repeat("=", width*done/total) + strings.Repeat(" ", width-width*done/total)
		fmt.Fprintf(f, "\r\x1b[K[%s] %d/%d, %d failed  %s", bar, done, total, failed, r.Case)
	}
}
