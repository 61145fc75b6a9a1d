// Command abuse attacks a broker of its own and watches a bystander: what the
// attacker is told, how long the bystander's messages take meanwhile, and how
// much memory the broker needs.
//
//	cd interop && go run ./abuse                    # every attack, 20 s each
//	cd interop && go run ./abuse -only failed-logins -for 1m
//	cd interop && go run ./abuse -list
//
// The attacker is a process of its own, and a niced one: two of them on one
// machine would otherwise measure who gets the processor.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/midgemq/midge/interop/internal/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv(strikeEnv) != "" {
		exit(struck(ctx, os.Stdin, os.Stdout))
	}
	exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func exit(err error) {
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// command runs what the arguments ask for.
func command(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := flag.NewFlagSet("abuse", flag.ContinueOnError)
	fs.SetOutput(errs)
	only := fs.String("only", "", "`names` of attacks, with commas (default: all)")
	span := fs.Duration("for", 20*time.Second, "`time` each attack lasts")
	size := fs.Float64("size", 1, "`factor` of how much the attackers do")
	midge := fs.String("midge", "", "midge's `executable` (default: built from this tree)")
	asJSON := fs.Bool("json", false, "print JSON in place of a table")
	list := fs.Bool("list", false, "say which attacks there are")
	keep := fs.String("keep", "", "`folder` for configurations and logs, kept (default: a temporary one)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *list {
		for _, a := range attacks {
			fmt.Fprintf(out, "%-18s %s\n", a.name, a.about)
		}
		return nil
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	dir := *keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "abuse-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if *midge == "" {
		*midge = filepath.Join(dir, "midge")
		if err := harness.Build(ctx, *midge); err != nil {
			return err
		}
	}
	line := &harness.StatusLine{W: errs}
	var all []result
	for _, a := range chosen {
		r, err := run(ctx, a, setting{midge: *midge, dir: filepath.Join(dir, a.name), span: *span, size: *size, say: line.Say})
		line.End()
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		all = append(all, r)
	}
	if *asJSON {
		return json.NewEncoder(out).Encode(all)
	}
	draw(out, all)
	return faults(all)
}

// faults are those of all attacks together.
func faults(all []result) (err error) {
	for _, r := range all {
		if r.Fault != "" {
			err = errors.Join(err, fmt.Errorf("%s: %s", r.Attack, r.Fault))
		}
	}
	return err
}

// choose finds attacks by name.
func choose(names string) ([]attack, error) {
	if names == "" {
		return attacks, nil
	}
	var some []attack
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no attack %q; -list says which there are", name)
		}
		some = append(some, attacks[i])
	}
	return some, nil
}
