package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/midgemq/midge/internal/mosquitto"
)

func importCmd(_ context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("import", out, errs, "midge import MOSQUITTO.CONF", `
Prints the configuration of midge that does what a mosquitto.conf says, and
those it includes. What midge does differently or cannot do stands above it, and
is said on standard error: each line, and why. Password and ACL files work as
they are. docs/mosquitto.md has every directive.

It ends with 0, or with 1 if something is refused.

Examples:
  midge import /etc/mosquitto/mosquitto.conf > midge.toml
  midge check -c midge.toml`)
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	r, err := mosquitto.Load(fs.Arg(0))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "# From %s.\n", strings.Join(r.Files, ", "))
	for _, n := range r.Notes {
		line := n.String()
		if n.Refused {
			line = n.Place + ": " + n.Directive + " is refused: " + n.Text
		}
		fmt.Fprintf(out, "#\n# %s\n", line)
		fmt.Fprintln(errs, line)
	}
	fmt.Fprintln(out)
	if err := r.Config.Write(out, nil); err != nil {
		return err
	}
	if no := r.Refused(); len(no) > 0 {
		fmt.Fprintf(errs, "midge import: %s refused; the rest is printed\n", count(len(no), "directive"))
		return &exitError{code: exitFailed}
	}
	return nil
}

// fromMosquitto reads a mosquitto.conf, and refuses what cannot be done.
func (f *serveFlags) fromMosquitto() (*mosquitto.Read, error) {
	r, err := mosquitto.Load(f.mosquitto)
	if err != nil || f.skipRefused {
		return r, err
	}
	if no := r.Refused(); len(no) > 0 {
		var b strings.Builder
		for _, n := range no {
			b.WriteString("\n  " + n.String())
		}
		return nil, fmt.Errorf("midge cannot do everything this file says:%s\n--skip-refused goes on without, midge import makes a configuration to edit", b.String())
	}
	return r, nil
}
