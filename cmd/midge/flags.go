package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// newFlags is a flag set whose help reads like the rest of midge's.
func newFlags(name string, errs io.Writer, synopsis, text string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() {
		fmt.Fprintf(errs, "usage: %s\n%s\n\nOptions:\n", synopsis, text)
		fs.VisitAll(func(f *flag.Flag) {
			arg, usage := flag.UnquoteUsage(f)
			line := "  --" + f.Name
			if arg != "" {
				line += " " + arg
			}
			if f.DefValue != "" && f.DefValue != "false" {
				usage += " (default " + f.DefValue + ")"
			}
			fmt.Fprintf(errs, "%-24s %s\n", line, usage)
		})
	}
	return fs
}

// parse takes the command line apart and wants exactly n arguments behind the
// options. errUsage says the user has been told; a request for help is none.
func parse(fs *flag.FlagSet, args []string, n int) error {
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return errHelp
	case err != nil:
		return errUsage // flag has said why
	}
	if fs.NArg() > n {
		return usage(fs, fmt.Errorf("unexpected %q", strings.Join(fs.Args()[n:], " ")))
	}
	if fs.NArg() < n {
		return usage(fs, errors.New("an argument is missing"))
	}
	return nil
}

// usage says what is wrong with a command line and where to read on.
func usage(fs *flag.FlagSet, err error) error {
	fmt.Fprintf(fs.Output(), "midge %s: %v\nmidge %s --help has the options\n", fs.Name(), err, fs.Name())
	return errUsage
}
