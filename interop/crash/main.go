// Command crash kills a broker, over and over, and checks whether it keeps its
// word: what it acknowledged before it was killed is held against what its
// clients got in the end.
//
//	cd interop && go run ./crash                       # 500 kills of midge --data
//	cd interop && go run ./crash -brokers midge,mosquitto,mosquitto-1s,mosquitto-changes -kills 100
//
// Publishers at QoS 1 and 2, in MQTT 3.1.1 and 5.0, send numbered messages to
// sessions that come and go, some of them away for long, some sharing a
// subscription, some changing theirs, to retained topics, and leave wills. The
// process gets SIGKILL at random moments: under load, while it starts, twice in
// a row. It takes midge from this tree; mosquitto is Debian's. The seed fixes
// who does what and when the killer strikes, not how the machine schedules it.
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
	"strings"
	"syscall"
	"time"

	"github.com/midgemq/midge/interop/internal/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	clean, err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(2)
	case !clean:
		os.Exit(1)
	}
}

// A result is one broker's run.
type result struct {
	Plan    plan    `json:"plan"`
	Verdict verdict `json:"verdict"`
	Seconds float64 `json:"seconds"`
}

// command runs what the arguments ask for. clean says that midge kept its word.
func command(ctx context.Context, args []string, out, errs io.Writer) (clean bool, err error) {
	var p plan
	fs := flag.NewFlagSet("crash", flag.ContinueOnError)
	fs.SetOutput(errs)
	brokers := fs.String("brokers", "midge", "brokers, one after the other: midge, midge-interval, midge-none (by --durability), midge-forgetful (without --data), mosquitto, mosquitto-1s, mosquitto-changes (by autosave)")
	fs.IntVar(&p.Kills, "kills", 500, "how `often` to kill each")
	fs.IntVar(&p.Stops, "stops", 0, "end the broker with SIGTERM every `n`th time (default: never)")
	fs.Uint64Var(&p.Seed, "seed", 1, "`seed` of all that is left to chance")
	fs.IntVar(&p.Rate, "rate", 1500, "messages published a `second`, about")
	fs.DurationVar(&p.For, "for", 20*time.Minute, "no kill is begun after this `time`")
	fs.DurationVar(&p.Wait, "wait", 10*time.Second, "`time` without a message, in the end, after which what is missing counts as lost")
	fs.StringVar(&p.midge, "midge", "", "midge's `executable` (default: built from this tree)")
	keep := fs.String("keep", "", "`folder` for data and logs, kept (default: a temporary one)")
	asJSON := fs.Bool("json", false, "print JSON in place of a table")
	if err := fs.Parse(args); err != nil {
		return false, err
	}
	dir := *keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "crash-"); err != nil {
			return false, err
		}
		defer os.RemoveAll(dir)
	}
	if p.midge == "" && strings.Contains(*brokers, "midge") {
		p.midge = filepath.Join(dir, "bin", "midge") // the folders beside are named after brokers
		if err := harness.Build(ctx, p.midge); err != nil {
			return false, err
		}
	}
	line := &harness.StatusLine{W: errs, Every: 10 * time.Second}
	p.say = line.Say
	var all []result
	clean = true
	for name := range strings.SplitSeq(*brokers, ",") {
		p.Broker, p.dir = name, filepath.Join(dir, name)
		begin := time.Now()
		v, err := run(ctx, p)
		line.End()
		if err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, result{p, v, time.Since(begin).Seconds()})
		clean = clean && (name != "midge" || v.Faults.total() == 0)
	}
	if *asJSON {
		return clean, json.NewEncoder(out).Encode(all)
	}
	draw(out, all)
	return clean, nil
}
