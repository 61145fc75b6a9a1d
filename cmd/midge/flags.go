package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// A flagSet is the options of one command, with help that reads like the rest
// of midge's.
type flagSet struct {
	*flag.FlagSet
	out            io.Writer // for help that was asked for
	synopsis, text string
}

func newFlags(name string, out, errs io.Writer, synopsis, text string) *flagSet {
	fs := &flagSet{flag.NewFlagSet(name, flag.ContinueOnError), out, synopsis, text}
	fs.SetOutput(errs)
	fs.Usage = func() {} // a wrong option is no reason to print them all
	return fs
}

func (fs *flagSet) help() {
	fmt.Fprintf(fs.out, "usage: %s\n%s\n", fs.synopsis, fs.text)
	type row struct{ name, usage string }
	var rows []row
	wide := 0
	fs.VisitAll(func(f *flag.Flag) {
		arg, usage := flag.UnquoteUsage(f)
		name := "--" + f.Name
		if len(f.Name) == 1 {
			name = "-" + f.Name
		}
		if arg != "" {
			name += " " + arg
		}
		if f.DefValue != "" && f.DefValue != "false" && !strings.Contains(usage, "default") {
			usage += " (default " + f.DefValue + ")"
		}
		rows = append(rows, row{name, usage})
		wide = max(wide, len(name))
	})
	if len(rows) > 0 {
		fmt.Fprint(fs.out, "\nOptions:\n")
	}
	for _, r := range rows {
		fmt.Fprintf(fs.out, "  %-*s  %s\n", wide, r.name, r.usage)
	}
}

// parse takes the command line apart and wants exactly n arguments behind the
// options. errUsage says the user has been told; a request for help is none.
func parse(fs *flagSet, args []string, n int) error {
	return parseCounted(fs, args, func() int { return n })
}

// parseCounted is parse where the options say how many arguments there are.
func parseCounted(fs *flagSet, args []string, count func() int) error {
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fs.help()
		return errHelp
	case err != nil: // flag has said why
		fmt.Fprintf(fs.Output(), "midge %s --help has the options\n", fs.Name())
		return errUsage
	}
	n := count()
	if fs.NArg() > n {
		return usage(fs, fmt.Errorf("unexpected %q", strings.Join(fs.Args()[n:], " ")))
	}
	if fs.NArg() < n {
		return usage(fs, errors.New("an argument is missing"))
	}
	return nil
}

// usage says what is wrong with a command line and where to read on.
func usage(fs *flagSet, err error) error {
	fmt.Fprintf(fs.Output(), "midge %s: %v\nmidge %s --help has the options\n", fs.Name(), err, fs.Name())
	return errUsage
}
