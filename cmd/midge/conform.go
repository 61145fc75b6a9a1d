package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/midgemq/midge/conform"
	"github.com/midgemq/midge/transport"
)

func conformCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("conform", out, errs, "midge conform [options] ADDR", `
Tests the broker at ADDR against every statement of MQTT 3.1.1 and 5.0 that can
be seen from outside. ADDR is host:port or a URL: tcp, tls, ws, wss, unix. The
broker is published to, below topics that begin with cf; nothing stays behind.
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
	url := fs.Arg(0)
	if !strings.Contains(url, "://") {
		url = "tcp://" + url
	}
	target := conform.Target{
		Name: url, NoSlow: *fast, User: *user, Password: *password,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.Dial(ctx, url, transport.DialOptions{})
		},
	}
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

// progress draws one line that is written over, on a terminal only. An empty
// result clears it.
func progress(errs io.Writer, filter conform.Filter) func(conform.Result) {
	f, ok := errs.(*os.File)
	if !ok {
		return func(conform.Result) {}
	}
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
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
