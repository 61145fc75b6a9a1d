package main

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/midgemq/midge"
)

func version(_ context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("version", out, errs, "midge version", "\nPrints the version of midge and what it was built with.")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	fmt.Fprintf(out, "midge %s (%s, %s/%s)\n", midge.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
