package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/midgemq/midge/admin"
)

// healthPatience is how long a broker may take to say how it is: less than
// those who run such checks wait for an answer.
const healthPatience = 4 * time.Second

func healthCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("health", out, errs, "midge health [options]", `
Asks a running broker whether it should get clients, for a container's
HEALTHCHECK and for scripts. It ends with 0 if it should; with 1, and the reason,
if it is stopping, has lost a listener, cannot write to its disk, or does not
answer within 4 seconds. The broker has to serve [admin] url; no token is needed.

Examples:
  midge health
  midge health -c /etc/midge/midge.toml
  midge health --url /run/midge/admin.sock`)
	var ask askFlags
	ask.define(fs)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	c, err := ask.open()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	var refused *admin.Error
	switch err := c.Ready(ctx); {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer within %v", ask.url, healthPatience)
	case errors.As(err, &refused):
		return errors.New(refused.Text)
	case err != nil:
		return ask.explain(err)
	}
	fmt.Fprintln(out, "ready")
	return nil
}
