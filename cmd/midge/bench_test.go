package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every workload runs against midge in this process, and says so as JSON.
func TestBenchWorkloads(t *testing.T) {
	for _, args := range []string{
		"pairs --clients 2 --messages 100",
		"pairs --clients 2 --messages 100 --qos 2 -V 5 --topics 3 --window 5",
		"pairs --clients 1 --messages 50 --rate 5000",
		"fanout --clients 5 --messages 20", "fanin --clients 5 --messages 20",
		"all --clients 3 --messages 20", "wildcard --clients 3 --messages 200",
		"filters --clients 2 --messages 50 --filters 120",
		"connect --clients 20", "idle --clients 20 --subscribe --busy 2 --hold 1ms",
		"retained --messages 700",
	} {
		words := append(append([]string{"bench"}, strings.Fields(args)...), "--embed", "--json")
		code, out, errs := runFor(t, words...)
		var r struct {
			Workload string
			Figures  map[string]float64
		}
		if err := json.Unmarshal([]byte(out), &r); code != exitOK || err != nil {
			t.Errorf("%s: exit %d, %v\n%s%s", args, code, err, out, errs)
			continue
		}
		if !strings.HasPrefix(args, r.Workload) || len(r.Figures) == 0 {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

func TestBenchDraws(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency.svg")
	code, out, errs := runFor(t, "bench", "pairs", "--clients", "1", "--messages", "50", "--rate", "5000", "--embed", "--svg", file)
	svg, err := os.ReadFile(file)
	if code != exitOK || err != nil || !strings.HasPrefix(string(svg), "<svg") || !strings.Contains(out, "p99.9") {
		t.Errorf("exit %d, %v\n%s%s\n%.80s", code, err, out, errs, svg)
	}
}

func TestBenchExitCodes(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"bench --help", exitOK, "Examples:"},
		{"bench", exitUsage, "argument is missing"},
		{"bench 127.0.0.1:1 pairs", exitUsage, "no workload"},
		{"bench --embed", exitUsage, "which workload"},
		{"bench juggle --embed", exitUsage, "juggle"},
		{"bench pairs --qos 3 --embed", exitUsage, "QoS 3"},
		{"bench pairs -V 6 --embed", exitUsage, "version"},
		{"bench pairs --embed 127.0.0.1:1883", exitUsage, "unexpected"},
		{"bench pairs 127.0.0.1:1", exitFailed, "refused"},
		{"bench pairs --payload 1 127.0.0.1:1", exitFailed, "Payload"},
		{"bench pairs --embed --messages 50 --rate 5000 --svg /nowhere/x", exitFailed, "nowhere"},
	} {
		code, out, errs := runFor(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("midge %s: exit %d, want %d; want %q in\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}
