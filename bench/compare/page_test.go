package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{5, 1, 3}, 3}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

// Ratios are taken within a round: a machine that is slow for one round is
// slow for both.
func TestRatiosAreOfARound(t *testing.T) {
	w := workloads[0]
	res := &results{Runs: map[string][]map[string]run{}, Brokers: []about{{Name: "midge"}, {Name: "rival"}}}
	for round, speed := range []float64{1, 10, 1.5} {
		res.add(w.key, round, "midge", run{Figures: map[string]float64{w.figure: 2 * speed}})
		res.add(w.key, round, "rival", run{Figures: map[string]float64{w.figure: 6 * speed}, Faults: map[string]float64{"lost": 7 * speed}})
	}
	c := res.cell(w, "rival")
	if c.ratio != 3 || c.value != 9 || c.lo != 6 || c.hi != 60 || c.faults["lost"] != 70 {
		t.Errorf("%+v", c)
	}
}

func TestPage(t *testing.T) {
	res := &results{Runs: map[string][]map[string]run{}, Brokers: []about{{Name: "midge", Version: "1.2.3"}, {Name: "rival", Start: 12.5}}}
	for _, w := range workloads {
		res.add(w.key, 0, "midge", run{Figures: map[string]float64{w.figure: 2}, Load: 3})
		res.add(w.key, 0, "rival", run{Figures: map[string]float64{w.figure: 5}})
	}
	res.add("qos2", 0, "rival", run{Error: "it fell over"})
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "performance"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "performance", "results.json")
	if err := res.save(file); err != nil {
		t.Fatal(err)
	}
	if err := load(file).write(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| QoS 0, 10 pairs | **2.00** | 5.00 (2.50×) |", "it fell over", "1.2.3", "12.5", "not idle"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	for _, c := range charts {
		if svg, err := os.ReadFile(filepath.Join(dir, "performance", c.group+".svg")); err != nil || !strings.HasPrefix(string(svg), "<svg") {
			t.Errorf("%s: %v %.20s", c.group, err, svg)
		}
	}
}

// Every workload is one that midge bench knows and has its place on the page.
func TestWorkloadsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range workloads {
		if seen[w.key] || w.figure == "" || w.title == "" {
			t.Errorf("%+v", w)
		}
		seen[w.key] = true
	}
}
