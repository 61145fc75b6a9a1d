package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The gate: what a delivery costs, counted and not timed, so that it holds on
// any machine and however busy it is. It is counted in the binary that people
// run, with the generator in the same process over memory, whose share is
// small and does not change; only system calls are the broker's alone, over
// TCP. A budget is about a third above what was found when it was set: a
// change that needs more says why, one that needs much less lowers it.
var gate = []struct {
	name         string
	args         string // of midge bench
	few, many    int    // messages of each publisher
	fan          int    // deliveries for one of each publisher
	allocations  float64
	instructions float64 // in user space; 0: not counted
	calls        float64
}{
	// Nothing can be batched: a read that finds the message, one that finds
	// no more, a write, and the waiting.
	{"one in flight", "pairs --clients 1 --window 1", 500, 3500, 1, 1.3, 15500, 6},
	{"QoS 0", "pairs --clients 4 --window 400", 500, 20500, 4, 0.02, 550, 0.05},
	{"QoS 0, MQTT 5.0", "pairs -V 5 --clients 4 --window 400", 500, 20500, 4, 0.02, 0, 0.05},
	{"QoS 1", "pairs --qos 1 --clients 4", 500, 5500, 4, 0.9, 3500, 0.3},
	{"QoS 2", "pairs --qos 2 --clients 4", 500, 5500, 4, 1.5, 0, 0.6},
	{"fan-out", "fanout --clients 50 --window 100", 50, 1050, 50, 0.05, 1100, 0.05},
	{"fan-in", "fanin --clients 50 --window 50", 50, 1050, 50, 0.05, 0, 0.1},
	{"wildcard fan-out", "wildcard --clients 20", 100, 2100, 20, 0.4, 0, 0.05},
	{"16 KiB", "pairs --clients 4 --payload 16384", 50, 550, 4, 2.3, 0, 2},
}

// buildMidge returns the binary, without the race detector, which allocates
// and counts for itself.
func buildMidge(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	file := filepath.Join(t.TempDir(), "midge")
	if out, err := exec.Command("go", "build", "-o", file, "../cmd/midge").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}

// benchOf runs midge bench, under a tool if there is one.
func benchOf(t *testing.T, args string, messages int, tool ...string) (figures map[string]float64, said string) {
	t.Helper()
	words := append(tool, "bench")
	words = append(words, strings.Fields(args)...)
	words = append(words, "--embed", "--json", "--messages", strconv.Itoa(messages))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	// One thread at work, and no signals among them: so the count is the same
	// each time, and valgrind survives.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v\n%s%s", words, err, &out, &errs)
	}
	var r struct{ Figures map[string]float64 }
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r.Figures, errs.String()
}

// hold compares what a delivery costs with its budget. What two runs of
// different length have in common, starting and connecting, falls out.
func hold(t *testing.T, name, what string, budget float64, few, many, fan int, count func(messages int) float64) {
	t.Helper()
	got := (count(many) - count(few)) / float64((many-few)*fan)
	t.Logf("%-18s %10.3f %s a delivery (budget %v)", name, got, what, budget)
	if got > budget {
		t.Errorf("%s: %.3f %s a delivery, more than %v", name, got, what, budget)
	}
}

func TestAllocationsOfADelivery(t *testing.T) {
	midge := buildMidge(t)
	for _, c := range gate {
		hold(t, c.name, "allocations", c.allocations, c.few, c.many, c.fan, func(n int) float64 {
			f, _ := benchOf(t, c.args, n, midge)
			return f["allocations_per_message"] * f["messages"]
		})
	}
}

func TestInstructionsOfADelivery(t *testing.T) {
	midge := buildMidge(t)
	if _, err := exec.LookPath("valgrind"); err != nil {
		t.Skip("there is no valgrind (apt-get install valgrind)")
	}
	collected := regexp.MustCompile(`Collected : (\d+)`)
	for _, c := range gate {
		if c.instructions == 0 {
			continue
		}
		hold(t, c.name, "instructions", c.instructions, c.few/5, c.many/5, c.fan, func(n int) float64 {
			_, said := benchOf(t, c.args, n, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", midge)
			m := collected.FindStringSubmatch(said)
			if m == nil {
				t.Skipf("valgrind says nothing to count:\n%s", said)
			}
			v, _ := strconv.ParseFloat(m[1], 64)
			return v
		})
	}
}

func TestSystemCallsOfADelivery(t *testing.T) {
	midge := buildMidge(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("there is no strace (apt-get install strace)")
	}
	for _, c := range gate {
		hold(t, c.name, "system calls", c.calls, c.few, c.many, c.fan, func(n int) float64 {
			return callsOf(t, midge, c.args, n)
		})
	}
}

// callsOf runs the broker under strace with a load from here, and returns how
// many system calls it made. nanosleep, sched_yield and futex are the
// scheduler's, go with time rather than with messages, and do not count.
func callsOf(t *testing.T, midge, args string, messages int) float64 {
	t.Helper()
	sock, table := filepath.Join(t.TempDir(), "s"), filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command("strace", "-f", "-c", "-e", "trace=!nanosleep,sched_yield,futex", "-o", table,
		midge, "serve", "--unix", sock)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 512)
	if n, _ := out.Read(line); n == 0 { // "midge 0.1.0 listens on ..."
		cmd.Wait()
		t.Skip("strace does not work here")
	}
	words := append([]string{"bench"}, strings.Fields(args)...)
	words = append(words, "--messages", strconv.Itoa(messages), "unix://"+sock)
	said, loadErr := exec.Command(midge, words...).CombinedOutput()
	interruptChild(t, cmd.Process.Pid)
	for n := 1; n > 0; {
		n, _ = out.Read(line)
	}
	cmd.Wait()
	if loadErr != nil {
		t.Fatalf("%q: %v\n%s", words, loadErr, said)
	}
	b, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	// % time, seconds, usecs/call, calls, [errors,] total
	m := regexp.MustCompile(`(?m)^\s*100\.00\s+\S+\s+\S+\s+(\d+)\s.*total`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("strace says nothing to count:\n%s", b)
	}
	calls, _ := strconv.ParseFloat(string(m[1]), 64)
	return calls
}

// interruptChild ends the one process that a tool runs.
func interruptChild(t *testing.T, tool int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", tool, tool))
	child, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || child == 0 {
		t.Fatalf("whose child? %v %q", err, b)
	}
	p, _ := os.FindProcess(child)
	if err := p.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}
