package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A keeper is a broker with a configuration that makes it keep messages.
type keeper struct {
	name, broker string
	promise      string // what an acknowledgement means
	command      func(l *lab, dir, addr string, tls bool) ([]string, error)
}

var keepers = []keeper{
	{"midge, always", "midge", "on the disk (fdatasync)", midgeKeeps("always")},
	{"midge, interval", "midge", "on the disk within a second", midgeKeeps("interval")},
	{"midge, none", "midge", "on the disk when the system writes it", midgeKeeps("none")},
	{"nats-server, always", "nats-server", "on the disk (fsync)", natsKeeps("always")},
	{"nats-server", "nats-server", "with the system; on the disk within two minutes", natsKeeps("")},
	{"mosquitto, autosave", "mosquitto", "in memory; everything is saved (fsync) soon after", mosquittoKeeps},
}

func midgeKeeps(durability string) func(*lab, string, string, bool) ([]string, error) {
	return func(_ *lab, dir, addr string, _ bool) ([]string, error) {
		return []string{"serve", "--tcp", addr, "--data", filepath.Join(dir, "data"), "--durability", durability}, nil
	}
}

func natsKeeps(sync string) func(*lab, string, string, bool) ([]string, error) {
	return func(_ *lab, dir, addr string, _ bool) ([]string, error) {
		interval := ""
		if sync != "" {
			interval = "sync_interval: " + sync
		}
		conf := fmt.Sprintf("server_name: compare\nlisten: 127.0.0.1:-1\njetstream {\n store_dir: %q\n %s\n}\nmqtt { listen: %q }\n",
			filepath.Join(dir, "js"), interval, addr)
		file := filepath.Join(dir, "nats.conf")
		return []string{"-c", file}, os.WriteFile(file, []byte(conf), 0o600)
	}
}

func mosquittoKeeps(_ *lab, dir, addr string, _ bool) ([]string, error) {
	host, port, _ := net.SplitHostPort(addr)
	conf := fmt.Sprintf("listener %s %s\nallow_anonymous true\nuser root\npersistence true\npersistence_location %s/\n"+
		"autosave_interval 1\nautosave_on_changes true\n", port, host, dir)
	file := filepath.Join(dir, "mosquitto.conf")
	return []string{"-c", file}, os.WriteFile(file, []byte(conf), 0o600)
}

// durableLoads are what the keepers are given.
var durableLoads = []struct{ key, title, args string }{
	{"window-20", "100 pairs, 20 in flight each", "pairs --clients 100 --qos 1 --durable --window 20"},
	{"window-1", "100 pairs, 1 in flight each", "pairs --clients 100 --qos 1 --durable --window 1"},
}

// A durable is what the durable runs came to: results of their own, so that
// they can be had alone.
type durable struct {
	Time     time.Time                   `json:"time"`
	Machine  string                      `json:"machine"`
	Seconds  float64                     `json:"seconds"`
	Disk     float64                     `json:"fdatasync_us"` // one of 4 KiB, alone
	Versions map[string]string           `json:"versions"`
	Runs     map[string][]map[string]run `json:"runs"` // by load, round and keeper
}

func durableFile(out string) string { return filepath.Join(out, "performance", "durable.json") }

// loadDurable returns nil if there are none.
func loadDurable(out string) *durable {
	b, err := os.ReadFile(durableFile(out))
	if err != nil {
		return nil
	}
	d := new(durable)
	if err := json.Unmarshal(b, d); err != nil {
		fmt.Fprintf(os.Stderr, "compare: %s is left out: %v\n", durableFile(out), err)
		return nil
	}
	return d
}

// compareDurable measures the keepers and writes the page anew.
func compareDurable(ctx context.Context, o options) error {
	if err := os.MkdirAll(filepath.Join(o.out, "performance"), 0o755); err != nil {
		return err
	}
	results := load(filepath.Join(o.out, "performance", "results.json"))
	results.durable = loadDurable(o.out)
	if !o.redraw {
		o.brokers = "midge,nats-server,mosquitto"
		l, err := prepare(ctx, o)
		if err != nil {
			return err
		}
		defer os.RemoveAll(l.dir)
		if results.durable, err = l.measureDurable(ctx); err != nil {
			return err
		}
		b, err := json.MarshalIndent(results.durable, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(durableFile(o.out), append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	return results.write(o.out)
}

func (l *lab) measureDurable(ctx context.Context) (*durable, error) {
	d := &durable{
		Time: time.Now().UTC().Truncate(time.Minute), Machine: machine(), Seconds: l.seconds,
		Versions: map[string]string{}, Runs: map[string][]map[string]run{},
	}
	files := map[string]string{}
	for _, b := range l.brokers {
		d.Versions[b.name], files[b.name] = b.version, b.file
	}
	var err error
	if d.Disk, err = l.syncTime(); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "fdatasync of 4 KiB takes %.0f µs\n", d.Disk)
	for _, w := range durableLoads {
		for round := range l.rounds {
			now := map[string]run{}
			d.Runs[w.key] = append(d.Runs[w.key], now)
			for _, k := range keepers {
				fmt.Fprintf(os.Stderr, "%-10s round %d  %-20s ", w.key, round+1, k.name)
				r := l.keep(ctx, &broker{name: k.broker, file: files[k.broker], command: k.command}, w.args)
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				now[k.name] = r
				fmt.Fprintln(os.Stderr, r.kept())
			}
		}
	}
	return d, nil
}

// keep gives one keeper its turn, freshly started with an empty folder.
func (l *lab) keep(ctx context.Context, b *broker, args string) run {
	r := run{Load: loadAverage()}
	p, err := l.start(ctx, b, l.nice, false)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer p.stop()
	w, err := watchDisk(p.cmd.Process.Pid)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.bench(ctx, l, p, l.nice, append(strings.Fields(args), "--duration", fmt.Sprint(l.seconds, "s")))
	syncs, written := w.end()
	if rate := r.Figures["messages_per_second"]; r.Error == "" && rate > 0 {
		r.Figures["written_bytes_per_message"] = written / rate
		if syncs >= 0 {
			r.Figures["syncs_per_second"] = syncs
		}
	}
	return r
}

func (r *run) kept() string {
	if r.Error != "" {
		return r.Error
	}
	s := fmt.Sprintf("%9.0f messages/s", r.Figures["messages_per_second"])
	if syncs, ok := r.Figures["syncs_per_second"]; ok {
		s += fmt.Sprintf(" %7.0f syncs/s", syncs)
	}
	s += fmt.Sprintf(" %7.0f bytes written for each", r.Figures["written_bytes_per_message"])
	for k, v := range r.Faults {
		s += fmt.Sprintf("  %.0f %s", v, k)
	}
	return s
}

// syncTime is the median time a write of 4 KiB and its sync take, in µs, where
// the brokers keep their files.
func (l *lab) syncTime() (float64, error) {
	f, err := os.Create(filepath.Join(l.dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b := make([]byte, 4096)
	var took []float64
	for i := range 200 {
		begin := time.Now()
		_, err := f.WriteAt(b, int64(i*len(b)))
		if err := errors.Join(err, f.Sync()); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(begin))/1e3)
	}
	return median(took), nil
}
