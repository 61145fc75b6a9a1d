package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/term"

	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/internal/top"
)

func topCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("top", out, errs, "midge top [options]", `
Shows a running broker, live: what passes, memory and queues, the clients by
what they send or what waits for them, and those that do not keep up. Keys sort,
find and disconnect clients; ? lists them, q quits. Without a terminal, or with
--once, one picture is printed. The broker has to serve [admin] url.

Exit codes: 0, or 1 when the broker cannot be asked.

Examples:
  midge serve --admin 127.0.0.1:9883        a broker that can be looked at
  midge top
  midge top -c /etc/midge/midge.toml
  midge top --url https://broker.example:9883 --token-file token
  midge top --once --limit 5
  midge top --json | jq .stats.broker.dropped`)
	var ask askFlags
	ask.define(fs)
	every := fs.Duration("every", time.Second, "look so `often`, 200ms to 1h")
	once := fs.Bool("once", false, "print one picture and end")
	asJSON := fs.Bool("json", false, "print one look as JSON and end")
	limit := fs.Int("limit", 20, "so `many` clients with --once and --json")
	ascii := fs.Bool("ascii", !knowsUTF8(), "draw with ASCII alone (default: as the locale says)")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *every < 200*time.Millisecond || *every > time.Hour || *limit < 1 {
		return usage(fs, errors.New("--every takes 200ms to 1h, --limit 1 or more"))
	}
	c, err := ask.open()
	if err != nil {
		return err
	}
	defer c.Close()
	first, err := c.Stats(ctx)
	if err != nil {
		return ask.explain(err)
	}
	m := top.NewModel(ask.url)
	m.ASCII = *ascii
	v := &viewer{c: c, model: m, every: *every}
	v.model.Feed(top.Sample{At: first.At, Counts: first})
	screen, live := out.(*os.File)
	switch {
	case *asJSON:
		return ask.explain(v.dump(ctx, out, *limit))
	case *once || !live || !isTerminal(screen) || !isTerminal(os.Stdin):
		return ask.explain(v.still(ctx, out, *limit))
	}
	m.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return v.live(ctx, os.Stdin, screen)
}

// A viewer looks at a broker.
type viewer struct {
	c     *admin.Client
	model *top.Model // owned by the goroutine of live
	every time.Duration

	samples chan top.Sample
	queries chan admin.Query // holds the last that was wished for
	said    chan string
}

// live shows the broker until somebody quits or ctx ends, and gives the terminal
// back as it was.
func (v *viewer) live(ctx context.Context, in, out *os.File) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := openTTY(in, out)
	if err != nil {
		return err
	}
	defer t.close()
	v.samples, v.queries, v.said = make(chan top.Sample), make(chan admin.Query, 1), make(chan string)
	looked, q := make(chan struct{}), v.model.Query()
	go func() { v.look(ctx, q); close(looked) }()
	defer func() { cancel(); <-looked }()
	told, stop := resized()
	defer stop()
	keys := t.keys(ctx.Done())
	for {
		w, h := t.size()
		if err := t.draw(v.model.Frame(w, h), w, h); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-told:
		case s := <-v.samples:
			v.model.Feed(s)
		case text := <-v.said:
			v.model.Say(text, time.Now())
		case k, ok := <-keys:
			if !ok || v.do(ctx, v.model.Key(k)) {
				return nil
			}
		}
	}
}

// do does what a key asks for, and reports whether that is the end.
func (v *viewer) do(ctx context.Context, a top.Action) (quit bool) {
	if a.Ask {
		select {
		case <-v.queries: // an older wish
		default:
		}
		v.queries <- v.model.Query()
	}
	if a.Kick != "" {
		go func() {
			text := printable(a.Kick) + " is disconnected"
			if err := v.c.Kick(ctx, a.Kick); err != nil {
				text = err.Error()
			}
			select {
			case v.said <- text:
			case <-ctx.Done():
			}
		}()
	}
	return a.Quit
}

// look asks the broker, again and again.
func (v *viewer) look(ctx context.Context, q admin.Query) {
	tick := time.NewTicker(v.every)
	defer tick.Stop()
	v.sample(ctx, q, true)
	for {
		select {
		case <-ctx.Done():
			return
		case q = <-v.queries:
			v.sample(ctx, q, false) // a rate over no time is none
		case <-tick.C:
			v.sample(ctx, q, true)
		}
	}
}

// sample asks for the list, and before that for all the rest if that is wished
// for, and hands on each answer when it comes.
func (v *viewer) sample(ctx context.Context, q admin.Query, all bool) {
	hand := func(s top.Sample, err error) bool {
		if s.At, s.Err = time.Now(), err; err != nil {
			s = top.Sample{At: s.At, Err: err}
		}
		select {
		case v.samples <- s:
		case <-ctx.Done():
		}
		return err == nil && ctx.Err() == nil
	}
	if all {
		counts, err := v.c.Stats(ctx)
		if !hand(top.Sample{Counts: counts}, err) {
			return
		}
		slow, err := v.c.Slow(ctx, 20)
		if !hand(top.Sample{Slow: slow}, err) {
			return
		}
	}
	list, err := v.c.Sessions(ctx, q)
	hand(top.Sample{List: list}, err)
}

// A glance is what --json prints.
type glance struct {
	Stats   *admin.Counts `json:"stats"`
	Clients *admin.List   `json:"clients"`
	Slow    *admin.List   `json:"slow"`
}

// glance looks once, for a second.
func (v *viewer) glance(ctx context.Context, limit int) (g glance, err error) {
	q := v.model.Query()
	q.Limit = limit
	if g.Clients, err = v.c.Sessions(ctx, q); err != nil {
		return g, err
	}
	if g.Slow, err = v.c.Slow(ctx, limit); err != nil {
		return g, err
	}
	g.Stats, err = v.c.Stats(ctx)
	return g, err
}

func (v *viewer) dump(ctx context.Context, out io.Writer, limit int) error {
	g, err := v.glance(ctx, limit)
	if err != nil {
		return err
	}
	return printJSON(out, g)
}

func (v *viewer) still(ctx context.Context, out io.Writer, limit int) error {
	g, err := v.glance(ctx, limit)
	if err != nil {
		return err
	}
	v.model.Feed(top.Sample{At: g.Stats.At, Counts: g.Stats, List: g.Clients, Slow: g.Slow})
	for _, l := range v.model.Still(stillWidth(out), limit) {
		if _, err := fmt.Fprintln(out, l); err != nil {
			return err
		}
	}
	return nil
}

// stillWidth is how wide a picture may be.
func stillWidth(out io.Writer) int {
	if f, ok := out.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 40 {
			return w
		}
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w >= 40 {
		return w
	}
	return 120
}
