package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/midgemq/midge/admin"
)

func clientsCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("clients", out, errs, "midge clients [options] [TEXT]", `
Lists the clients of a running broker, those with TEXT in their identifier, user
name or address alone if it is given. The broker has to serve [admin] url.

Exit codes: 0 when there are some, 3 when there are none, 1 when the broker
cannot be asked.

Examples:
  midge clients                             who is connected
  midge clients --sort queue --limit 10     whose queues are longest
  midge clients --sort bytes                who sends and gets most, over a second
  midge clients --state away sensor         sessions whose client is not there
  midge clients --json | jq .sessions[].client
  midge clients -c /etc/midge/midge.toml`)
	var ask askFlags
	var q admin.Query
	ask.define(fs)
	fs.StringVar(&q.State, "state", "connected", "`which`: connected, away or all")
	fs.StringVar(&q.Sort, "sort", "client", "what comes `first`: "+strings.Join(admin.Sorts(), ", "))
	fs.IntVar(&q.Limit, "limit", 100, "at most this `many`")
	fs.BoolVar(&q.Rates, "rates", false, "say what passes a second, which takes a second")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parseCounted(fs, args, func() int { return min(fs.NArg(), 1) }); err != nil {
		return err
	}
	q.Find = fs.Arg(0)
	c, err := ask.open()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Sessions(ctx, q)
	if err != nil {
		return ask.explain(err)
	}
	if *asJSON {
		err = printJSON(out, list)
	} else {
		err = drawClients(out, list)
	}
	if err == nil && list.Found == 0 {
		return &exitError{code: exitNone}
	}
	return err
}

// drawClients prints a table for people.
func drawClients(out io.Writer, list *admin.List) error {
	if list.Found == 0 {
		_, err := fmt.Fprintln(out, "no such client; midge clients --state all has those that are away, too")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rates := list.Sessions[0].Rates != nil
	head := "CLIENT\tUSER\tADDRESS\tMQTT\tFOR\tMESSAGES IN\tOUT\tQUEUED\tFILTERS\tSTATE"
	if rates {
		head = strings.Replace(head, "MESSAGES IN\tOUT", "IN/S\tOUT/S\tBYTES IN/S\tOUT/S", 1)
	}
	fmt.Fprintln(w, head)
	for i := range list.Sessions {
		s := &list.Sessions[i]
		passed := group(int(s.In.Messages)) + "\t" + group(int(s.Out.Messages))
		if r := s.Rates; rates {
			passed = perSecond(r.MessagesIn) + "\t" + perSecond(r.MessagesOut) + "\t" + humanBytes(int64(r.BytesIn)) + "\t" + humanBytes(int64(r.BytesOut))
		}
		since := "-"
		if s.Connected {
			since = brief(list.At.Sub(s.Since))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", printable(s.Client), orDash(printable(s.User)), orDash(s.Address), orDash(s.Version),
			since, passed, queued(s), s.Subscriptions, stateOf(s, list.At))
	}
	w.Flush()
	if n := list.Found - len(list.Sessions); n > 0 {
		fmt.Fprintf(out, "and %s more; --limit %d lists all\n", group(n), list.Found)
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printable is a name as a terminal can take it: clients choose theirs.
func printable(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != s {
		return q
	}
	return s
}

func queued(s *admin.Session) string {
	if s.QueuedBytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s)", group(s.Queued), humanBytes(int64(s.QueuedBytes)))
}

func stateOf(s *admin.Session, now time.Time) string {
	switch {
	case s.Stalled > 0:
		return fmt.Sprintf("stalled for %.0fs", s.Stalled)
	case s.Connected:
		return "connected"
	case s.Until.IsZero():
		return "away"
	}
	return "away, ends in " + brief(s.Until.Sub(now))
}

func perSecond(v float64) string {
	if v > 0 && v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return group(int(v + 0.5))
}

func kickCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("kick", out, errs, "midge kick [options] CLIENT...", `
Disconnects clients of a running broker by their identifiers, as an
administrator's action: their wills are said, those of MQTT 5 are told. They may
come back; midge ban keeps them out. With --forget their sessions end, too, of
those that are away as well: subscriptions and what waits for them are gone. The
broker has to serve [admin] url.

Exit codes: 0 when all of them were there, 3 when one was not, 1 when the broker
cannot be asked.

Examples:
  midge kick sensor-17
  midge kick -c /etc/midge/midge.toml sensor-17 sensor-18
  midge kick --forget old-gateway           whose queue nobody will fetch
  midge clients --sort slow --limit 1 --json | jq -r .sessions[].client | xargs midge kick`)
	var ask askFlags
	ask.define(fs)
	forget := fs.Bool("forget", false, "end their sessions, too")
	if err := parseCounted(fs, args, func() int { return max(fs.NArg(), 1) }); err != nil {
		return err
	}
	c, err := ask.open()
	if err != nil {
		return err
	}
	defer c.Close()
	act, done, not := c.Kick, "disconnected", "not connected"
	if *forget {
		act, done, not = c.Forget, "forgotten", "not known"
	}
	absent := false
	for _, id := range fs.Args() {
		var refused *admin.Error
		switch err := act(ctx, id); {
		case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
			absent = true
			fmt.Fprintf(errs, "%s is %s; midge clients --state all lists who is\n", printable(id), not)
		case err != nil:
			return ask.explain(err)
		default:
			fmt.Fprintf(out, "%s is %s\n", printable(id), done)
		}
	}
	if absent {
		return &exitError{code: exitNone}
	}
	return nil
}
