package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long a broker may take to listen, and a run to end.
const (
	startWithin = 30 * time.Second
	runWithin   = 2 * time.Minute
)

// A process is a broker that runs.
type process struct {
	cmd     *exec.Cmd
	url     string
	dir     string
	started time.Duration // from exec to its port being open
}

// pinned is a command on its core, by programs that become it: the process
// keeps its identifier.
func (l *lab) pinned(ctx context.Context, nice int, cpu, file string, args ...string) *exec.Cmd {
	words := append([]string{"-n", strconv.Itoa(nice), "taskset", "-c", cpu, file}, args...)
	return exec.CommandContext(ctx, "nice", words...)
}

// start runs a broker on a port of its own, and waits until it listens.
func (l *lab) start(ctx context.Context, b *broker, nice int, tls bool) (*process, error) {
	dir, err := os.MkdirTemp(l.dir, b.name+"-")
	if err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	args, err := b.command(l, dir, addr, tls)
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, url: "tcp://" + addr, cmd: l.pinned(ctx, nice, l.brokerCPU, b.file, args...)}
	if tls {
		p.url = "tls://" + addr
	}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(begin) < startWithin && ctx.Err() == nil {
		if nc, err := net.Dial("tcp", addr); err == nil {
			p.started = time.Since(begin)
			nc.Close()
			return p, nil
		}
		time.Sleep(time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("does not listen within %v", startWithin)
}

func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan struct{})
	go func() { p.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-ended
	}
	os.RemoveAll(p.dir)
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// run gives a broker its turn, freshly started.
func (l *lab) run(ctx context.Context, b *broker, w workload) run {
	r := run{Load: loadAverage()}
	nice := 0
	if w.group() == "latency" {
		nice = l.nice
	}
	p, err := l.start(ctx, b, nice, w.tls)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer p.stop()
	args := strings.Fields(w.args)
	if w.timed && !strings.Contains(w.args, "--messages") {
		args = append(args, "--duration", fmt.Sprint(l.seconds, "s"))
	}
	r.bench(ctx, l, p, nice, args)
	return r
}

// bench loads a broker with midge bench, and reads what that says.
func (r *run) bench(ctx context.Context, l *lab, p *process, nice int, args []string) {
	args = append(append([]string{"bench"}, args...), "--json", "--pid", strconv.Itoa(p.cmd.Process.Pid), p.url)
	ctx, cancel := context.WithTimeout(ctx, runWithin)
	defer cancel()
	cmd := l.pinned(ctx, nice, l.ownCPU, l.midge, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		r.Error = fmt.Sprintf("was not done within %v", runWithin)
	case errors.As(err, &exit) && exit.ExitCode() == 3: // faults, which are in the report
	case err != nil:
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		r.Error = strings.TrimPrefix(lines[len(lines)-1], "midge bench: ")
	}
	if r.Error == "" {
		r.read(out.Bytes())
	}
}

func (r *run) read(report []byte) {
	var x struct {
		Figures map[string]float64
		Latency map[string]any
		Faults  map[string]float64
	}
	if err := json.Unmarshal(report, &x); err != nil {
		r.Error = err.Error()
		return
	}
	r.Figures = x.Figures
	for _, k := range []string{"p50_us", "p99_us", "max_us"} {
		if v, ok := x.Latency[k].(float64); ok {
			r.Figures[k] = v
		}
	}
	for k, v := range x.Faults {
		if v > 0 {
			if r.Faults == nil {
				r.Faults = map[string]float64{}
			}
			r.Faults[k] = v
		}
	}
}

// About is what there is to say of a broker before it works.
type about struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Start   float64 `json:"start_ms"` // to listening, median
	RSS     float64 `json:"idle_rss_mib"`
	Size    float64 `json:"file_mib"`
}

// describe starts a broker five times and looks at it.
func (l *lab) describe(ctx context.Context, b *broker, res *results) error {
	a := about{Name: b.name, Version: b.version}
	if st, err := os.Stat(b.file); err == nil {
		a.Size = float64(st.Size()) / (1 << 20)
	}
	var starts, rss []float64
	for range 5 {
		p, err := l.start(ctx, b, 0, false)
		if err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond) // let it come to rest
		starts = append(starts, float64(p.started)/1e6)
		rss = append(rss, resident(p.cmd.Process.Pid))
		p.stop()
	}
	a.Start, a.RSS = median(starts), median(rss)
	fmt.Fprintf(os.Stderr, "%-12s %-8s listens after %.0f ms, %.1f MiB\n", a.Name, a.Version, a.Start, a.RSS)
	res.Brokers = append(res.Brokers, a)
	return nil
}

// resident is a process's memory in MiB.
func resident(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseFloat(f[1], 64)
	return n * float64(os.Getpagesize()) / (1 << 20)
}

func loadAverage() float64 {
	b, _ := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(b))
	if len(f) == 0 {
		return 0
	}
	v, _ := strconv.ParseFloat(f[0], 64)
	return v
}
