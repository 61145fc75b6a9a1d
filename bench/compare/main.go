// Command compare measures midge beside other brokers on this machine, and
// writes what it found as a page with charts.
//
//	cd bench/compare && go run . -out ../../docs
//	cd bench/compare && go run . durable
//
// The second is another question with results of its own: what a message costs
// that is acknowledged once it is on the disk.
//
// A broker more can be asked for that is none: relay hands on the bytes of pairs
// at QoS 0 as they come, and shows what the kernel alone takes.
//
//	go run . -brokers midge,mosquitto,relay -run 16k -out /tmp
//
// It installs Debian's mosquitto if it is missing (as root), builds mochi and
// nats-server from the Go module proxy, and midge from this tree. Each broker
// is pinned to one core and the generator, midge bench, to another. For every
// workload the brokers take turns, so that a machine whose speed drifts drifts
// for all of them: what is quoted are medians, and medians of the ratios
// within a round.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rounds             int
	seconds            float64
	brokers, only, out string
	brokerCPU, ownCPU  string
	nice               int
	redraw             bool
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "`runs` of each broker and workload")
	flag.Float64Var(&o.seconds, "seconds", 3, "measured `time` of a run that goes by time")
	flag.StringVar(&o.brokers, "brokers", "midge,mosquitto,mochi,nats-server", "brokers, in `order`; midge is what the others are compared with")
	flag.StringVar(&o.only, "run", "", "run the workloads whose name this `regexp` matches, and keep the other results")
	flag.StringVar(&o.out, "out", "../../docs", "`folder` for performance.md and performance/")
	flag.StringVar(&o.brokerCPU, "broker-cpu", "0", "`cores` of the broker, as taskset takes them")
	flag.StringVar(&o.ownCPU, "bench-cpu", "1", "`cores` of the generator")
	flag.IntVar(&o.nice, "nice", 0, "`niceness` of both while latency is measured, for a machine that has other things to do")
	flag.BoolVar(&o.redraw, "redraw", false, "run nothing, write the page anew")
	flag.Parse()
	what := compare
	switch flag.Arg(0) {
	case "":
	case "durable":
		what = compareDurable
	default:
		fmt.Fprintf(os.Stderr, "compare: there is no %q to compare; there is durable, and without a word all the rest\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := what(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.out, "performance"), 0o755); err != nil {
		return err
	}
	file := filepath.Join(o.out, "performance", "results.json")
	results := load(file)
	results.durable = loadDurable(o.out)
	if !o.redraw {
		l, err := prepare(ctx, o)
		if err != nil {
			return err
		}
		defer os.RemoveAll(l.dir)
		if err := l.measure(ctx, only, results); err != nil {
			return err
		}
		if err := results.save(file); err != nil {
			return err
		}
	}
	return results.write(o.out)
}

// measure runs every workload in rounds, in which each broker has one turn.
func (l *lab) measure(ctx context.Context, only *regexp.Regexp, res *results) error {
	res.Time = time.Now().UTC().Truncate(time.Minute)
	res.Machine = machine()
	res.Seconds = l.seconds
	if only.MatchString("latency") {
		res.Nice = l.nice
	}
	if only.MatchString("start") || len(res.Brokers) == 0 {
		res.Brokers = nil
		for _, b := range l.brokers {
			if err := l.describe(ctx, b, res); err != nil {
				return fmt.Errorf("%s: %w", b.name, err)
			}
		}
	}
	for _, w := range workloads {
		if !only.MatchString(w.key) {
			continue
		}
		delete(res.Runs, w.key)
		for round := range l.rounds {
			for _, b := range l.brokers {
				if res.failed(w.key, b.name) > 1 {
					continue // it would take as long to fail again
				}
				fmt.Fprintf(os.Stderr, "%-22s round %d  %-12s ", w.key, round+1, b.name)
				r := l.run(ctx, b, w)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				res.add(w.key, round, b.name, r)
				fmt.Fprintln(os.Stderr, r.short(w))
			}
		}
	}
	return nil
}

// A run is one broker's turn at one workload.
type run struct {
	Figures map[string]float64 `json:"figures,omitempty"`
	Faults  map[string]float64 `json:"faults,omitempty"` // those above zero
	Error   string             `json:"error,omitempty"`
	Load    float64            `json:"load"` // of the machine when it began
}

func (r run) short(w workload) string {
	if r.Error != "" {
		return r.Error
	}
	s := fmt.Sprintf("%10.3f %s", r.Figures[w.figure], w.unit)
	for k, v := range r.Faults {
		s += fmt.Sprintf("  %.0f %s", v, k)
	}
	return s
}

// results are what is kept between calls.
type results struct {
	durable *durable

	Time    time.Time                   `json:"time"`
	Machine string                      `json:"machine"`
	Seconds float64                     `json:"seconds"`
	Nice    int                         `json:"nice"`
	Brokers []about                     `json:"brokers"`
	Runs    map[string][]map[string]run `json:"runs"` // by workload, round and broker
}

func load(file string) *results {
	r := &results{Runs: map[string][]map[string]run{}}
	if b, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(b, r); err != nil {
			fmt.Fprintf(os.Stderr, "compare: %s is begun anew: %v\n", file, err)
			return &results{Runs: map[string][]map[string]run{}}
		}
	}
	return r
}

func (r *results) save(file string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func (r *results) add(key string, round int, broker string, x run) {
	for len(r.Runs[key]) <= round {
		r.Runs[key] = append(r.Runs[key], map[string]run{})
	}
	r.Runs[key][round][broker] = x
}

// failed counts the rounds a broker had no figure for.
func (r *results) failed(key, broker string) (n int) {
	for _, round := range r.Runs[key] {
		if round[broker].Error != "" {
			n++
		}
	}
	return n
}

// machine says what it was measured on.
func machine() string {
	text := func(file string) string { b, _ := os.ReadFile(file); return string(b) }
	model := "unknown processor"
	cores := strings.Count(text("/proc/cpuinfo"), "processor\t")
	if m := regexp.MustCompile(`model name\s*: (.*)`).FindStringSubmatch(text("/proc/cpuinfo")); m != nil {
		model = m[1]
	}
	return fmt.Sprintf("%s, %d cores, Linux %s", model, cores, strings.TrimSpace(text("/proc/sys/kernel/osrelease")))
}
