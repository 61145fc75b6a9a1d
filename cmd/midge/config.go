package main

import (
	"context"
	"io"

	"github.com/midgemq/midge/internal/config"
)

func configCmd(_ context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("config", out, errs, "midge config", `
Prints a configuration file with every key, what it is for, and its default.

Examples:
  midge config > midge.toml
  midge check -c midge.toml
  midge serve -c midge.toml`)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	return config.WriteDefault(out)
}
