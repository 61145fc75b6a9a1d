package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What durable found stands on the page, whichever of the two is run.
func TestDurableSection(t *testing.T) {
	d := &durable{Versions: map[string]string{"mosquitto": "9.8.7"}, Runs: map[string][]map[string]run{}}
	for _, rate := range []float64{900, 3000, 1200} {
		d.Runs["window-1"] = append(d.Runs["window-1"], map[string]run{
			"midge, always": {Figures: map[string]float64{
				"messages_per_second": rate, "syncs_per_second": 100, "written_bytes_per_message": 300,
			}},
			"midge, none":         {Figures: map[string]float64{"messages_per_second": 5}},
			"mosquitto, autosave": {Error: "it fell over"},
		})
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "performance"), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(durableFile(dir), b, 0o644); err != nil {
		t.Fatal(err)
	}
	res := &results{durable: loadDurable(dir)}
	if err := res.write(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| midge, always | on the disk (fdatasync) | **1,200** | 100 | 12.0 | 300 |", "| **5.00** | – | – |", "mosquitto, autosave 9.8.7",
		"round 2: it fell over",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	if svg, err := os.ReadFile(filepath.Join(dir, "performance", "durable.svg")); err != nil || !strings.HasPrefix(string(svg), "<svg") {
		t.Errorf("%v %.20s", err, svg)
	}
}

// A run begins and ends slowly: its middle counts.
func TestSteady(t *testing.T) {
	if got := steady([]float64{0, 0, 1, 1, 7, 7, 7, 7, 7, 0}); got != 70 {
		t.Errorf("%v a second, want 70", got)
	}
	if got := steady(nil); got != 0 {
		t.Errorf("nothing is %v", got)
	}
}

func TestWrittenBy(t *testing.T) {
	if _, err := os.Stat("/proc/self/io"); err != nil {
		t.Skip("no /proc/PID/io here")
	}
	if n, err := writtenBy(os.Getpid()); err != nil || n < 0 {
		t.Errorf("%v %v", n, err)
	}
}
