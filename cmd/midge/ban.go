package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/protect"
)

// whomFlags say whom a ban is about.
func whomFlags(fs *flagSet, b *admin.Ban) {
	fs.StringVar(&b.Client, "client", "", "the client with this `identifier`")
	fs.StringVar(&b.User, "user", "", "clients with this user `name`")
	fs.StringVar(&b.Address, "address", "", "clients from this `address`, or block of them")
}

var errWhom = errors.New("whom is it about? --client, --user and --address say that")

func banCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("ban", out, errs, "midge ban [options]", `
Keeps somebody out of a running broker, and disconnects whom that is about. Of
several of --client, --user and --address, all have to match. Bans outlive a
restart of a broker that has a file for them. The broker has to serve [admin] url.

Exit codes: 0 when the ban is in force, 1 when it is not.

Examples:
  midge ban --client sensor-17
  midge ban --address 192.0.2.0/24 --for 24h --reason "port scan"
  midge ban --user mallory --address 2001:db8::/32
  midge bans                                who is kept out
  midge unban --client sensor-17`)
	var ask askFlags
	var b admin.Ban
	var span time.Duration
	whomFlags(fs, &b)
	fs.DurationVar(&span, "for", 0, "for so `long`, such as 90m (default: until it is lifted)")
	fs.StringVar(&b.Reason, "reason", "", "`text` that clients of MQTT 5 are told")
	ask.define(fs)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if b.Client == "" && b.User == "" && b.Address == "" {
		return usage(fs, errWhom)
	}
	if span != 0 {
		b.For = span.String()
	}
	c, err := ask.open()
	if err != nil {
		return err
	}
	defer c.Close()
	done, err := c.Ban(ctx, b)
	if err != nil {
		return ask.explain(err)
	}
	fmt.Fprintf(out, "%s kept out %s; %s disconnected\n", whom(&done.Ban), howLong(&done.Ban, time.Now()), count(len(done.Disconnected), "client"))
	for _, id := range done.Disconnected {
		fmt.Fprintf(out, "  %s\n", printable(id))
	}
	return nil
}

func unbanCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("unban", out, errs, "midge unban [options]", `
Lifts a ban: one of midge ban, with the same --client, --user and --address, or
one that the broker has imposed. The broker has to serve [admin] url.

Exit codes: 0 when it is lifted, 3 when there was none, 1 when the broker cannot
be asked.

Examples:
  midge unban --client sensor-17
  midge unban --address 192.0.2.0/24`)
	var ask askFlags
	var b admin.Ban
	whomFlags(fs, &b)
	ask.define(fs)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if b.Client == "" && b.User == "" && b.Address == "" {
		return usage(fs, errWhom)
	}
	c, err := ask.open()
	if err != nil {
		return err
	}
	defer c.Close()
	var refused *admin.Error
	switch err := c.Unban(ctx, b); {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		fmt.Fprintf(errs, "%s; midge bans lists those there are\n", refused.Text)
		return &exitError{code: exitNone}
	case err != nil:
		return ask.explain(err)
	}
	fmt.Fprintln(out, "the ban is lifted")
	return nil
}

func bansCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("bans", out, errs, "midge bans [options]", `
Lists who is kept out of a running broker, by whom, until when and why. The
broker has to serve [admin] url.

Exit codes: 0 when there are bans, 3 when there are none, 1 when the broker
cannot be asked.

Examples:
  midge bans
  midge bans --json | jq -r '.bans[].address'`)
	var ask askFlags
	ask.define(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	c, err := ask.open()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Bans(ctx)
	if err != nil {
		return ask.explain(err)
	}
	if *asJSON {
		err = printJSON(out, list)
	} else {
		err = drawBans(out, list.Bans, time.Now())
	}
	if err == nil && len(list.Bans) == 0 {
		return &exitError{code: exitNone}
	}
	return err
}

func drawBans(out io.Writer, bans []protect.Ban, now time.Time) error {
	if len(bans) == 0 {
		_, err := fmt.Fprintln(out, "nobody is banned; midge ban --help says how")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHO\tBY\tSINCE\tHOW LONG\tREASON")
	for i := range bans {
		b := &bans[i]
		fmt.Fprintf(w, "%s\t%s\t%s ago\t%s\t%s\n", whom(b), orDash(b.By), brief(now.Sub(b.Since)), howLong(b, now), orDash(printable(b.Reason)))
	}
	return w.Flush()
}

// whom a ban is about.
func whom(b *protect.Ban) string {
	var all []string
	if b.Client != "" {
		all = append(all, "client "+printable(b.Client))
	}
	if b.User != "" {
		all = append(all, "user "+printable(b.User))
	}
	if b.Address.IsValid() {
		a := b.Address.String()
		if b.Address.IsSingleIP() {
			a = b.Address.Addr().String()
		}
		all = append(all, a)
	}
	return strings.Join(all, ", ")
}

func howLong(b *protect.Ban, now time.Time) string {
	if b.Until.IsZero() {
		return "until it is lifted"
	}
	return "for " + brief(b.Until.Sub(now))
}
