// Command engines runs what a broker asks of its store on three engines: our
// own log (store/disk), bbolt and Pebble. docs/decisions/0007 has what came of
// it. It is a module of its own, so that nobody else pays for the other two.
//
// The workload is QoS 1 with acknowledgement after sync: every publisher stores
// a message for one persistent session, waits until that is durable, and has it
// taken out again, as a subscriber's PUBACK does; or not, with -absent, and the
// queues grow. All three are given the same group commit: one goroutine takes
// whatever has come, writes it as one batch, and syncs once.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

type options struct {
	publishers, window, payload int
	duration                    time.Duration
	absent                      bool
}

func main() {
	var o options
	dir := flag.String("dir", "", "put the data below this folder (default: the system's temporary one)")
	rounds := flag.Int("rounds", 3, "run each engine so often, in turns; the median counts")
	flag.IntVar(&o.publishers, "publishers", 100, "connections that publish at once")
	flag.IntVar(&o.window, "window", 1, "messages of one publisher on their way")
	flag.IntVar(&o.payload, "payload", 64, "bytes of a message")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "how long each round lasts")
	flag.BoolVar(&o.absent, "absent", false, "subscribers are away: nothing is taken out")
	only := flag.String("engines", "midge,bbolt,pebble", "which engines")
	asJSON := flag.Bool("json", false, "print the medians as JSON")
	restart := flag.Int("restart", 0, "instead: queue so many messages, close, and measure the next start")
	one := flag.String("start", "", "used by -restart: open ENGINE:FOLDER, and say what it took")
	flag.Parse()
	if *one != "" {
		check(started(*one))
		return
	}
	names := strings.Split(*only, ",")
	for _, name := range names {
		if engines[name] == nil {
			check(fmt.Errorf("there is no engine %q; there are midge, bbolt and pebble", name))
		}
	}
	root, err := os.MkdirTemp(*dir, "engines")
	check(err)
	defer os.RemoveAll(root)
	if *restart > 0 {
		check(restarts(root, names, *restart, o))
		return
	}
	all := map[string][]result{}
	for round := range *rounds {
		for _, name := range names {
			fmt.Fprintf(os.Stderr, "\r\x1b[Kround %d of %d: %s", round+1, *rounds, name)
			r, err := run(name, filepath.Join(root, fmt.Sprint(name, round)), o)
			check(err)
			all[name] = append(all[name], r)
		}
	}
	fmt.Fprint(os.Stderr, "\r\x1b[K")
	var medians []result
	for _, name := range names {
		medians = append(medians, median(all[name]))
	}
	if *asJSON {
		check(json.NewEncoder(os.Stdout).Encode(medians))
		return
	}
	draw(o, *rounds, medians)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		os.Exit(1)
	}
}

// A result is what one round came to.
type result struct {
	Engine    string
	Messages  float64       // durable, a second
	Commits   float64       // a second
	Syncs     float64       // a second, as the engine counts or makes them
	PerCommit float64       // messages
	Written   float64       // bytes given to the disk, a message
	P50, P99  time.Duration // from Put to durable
	CPU       time.Duration // a message
	OnDisk    int64         // bytes at the end
}

func median(all []result) result {
	slices.SortFunc(all, func(a, b result) int { return int(a.Messages - b.Messages) })
	return all[len(all)/2]
}

func draw(o options, rounds int, all []result) {
	what := "taken out at once"
	if o.absent {
		what = "left in the queue"
	}
	fmt.Printf("%d publishers, %d on their way each, %d bytes, %s; %v, median of %d; %s, %d CPUs\n\n",
		o.publishers, o.window, o.payload, what, o.duration, rounds, runtime.Version(), runtime.NumCPU())
	best := 1.0
	for _, r := range all {
		best = max(best, r.Messages)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "engine\tmessages/s\t\tsyncs/s\tmessages/commit\tp50\tp99\tbytes written/message\tCPU/message\ton disk\t")
	for _, r := range all {
		bar := fmt.Sprintf("%-20s", strings.Repeat("#", int(20*r.Messages/best)))
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%.0f\t%.1f\t%v\t%v\t%.0f\t%v\t%.1f MB\t\n", r.Engine, r.Messages, bar, r.Syncs, r.PerCommit,
			r.P50.Round(10*time.Microsecond), r.P99.Round(10*time.Microsecond), r.Written, r.CPU.Round(100*time.Nanosecond), float64(r.OnDisk)/1e6)
	}
	w.Flush()
}

// settle gives memory back before something is measured.
func settle() { runtime.GC(); debug.FreeOSMemory() }
