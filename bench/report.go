package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Report is what a workload came to.
type Report struct {
	Workload string
	Target   string
	Settings []Setting
	Figures  []Figure
	Latency  *Latency  // nil: not measured
	Timed    string    // what Latency is of
	Samples  []float64 // messages delivered a second, one for every 100 ms measured
	Faults   Faults
	Notes    []string // what else there is to say
	Time     time.Time
}

// A Setting is one thing that was asked for.
type Setting struct {
	Name  string
	Value any
}

// A Figure is one thing that was found.
type Figure struct {
	Key   string // in JSON, with the unit in its name
	Label string // for people
	Unit  string
	Value float64
}

func (t *Target) newReport(workload string) *Report {
	r := &Report{Workload: workload, Target: t.URL, Time: time.Now().UTC().Truncate(time.Second)}
	if t.Dial != nil {
		r.Target = "in process"
	}
	r.set("version", t.version().String())
	return r
}

func (r *Report) set(name string, v any) { r.Settings = append(r.Settings, Setting{name, v}) }

func (r *Report) add(key, label, unit string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	r.Figures = append(r.Figures, Figure{key, label, unit, v})
}

// Figure returns the value of a figure by its key.
func (r *Report) Figure(key string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Key == key {
			return f.Value, true
		}
	}
	return 0, false
}

// settings notes what the load was asked for.
func (r *loadRun) settings() {
	rep := r.report
	rep.set("clients", r.Clients)
	rep.set("qos", int(r.QoS))
	rep.set("payload", r.Payload)
	if r.Rate > 0 {
		rep.set("rate", r.Rate)
	} else {
		rep.set("window", r.window(&r.plan))
	}
	for _, s := range []Setting{{"topics", r.Topics}, {"filters", r.Filters}, {"messages", r.Messages}} {
		if v := s.Value.(int); v > 1 {
			rep.Settings = append(rep.Settings, s)
		}
	}
	if r.Durable {
		rep.set("durable", true)
	}
	if r.Messages == 0 {
		rep.set("seconds", r.Duration.Seconds())
	}
}

// WriteText writes the report for people to read.
func (r *Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s", r.Workload)
	for _, s := range r.Settings {
		fmt.Fprintf(&b, "  %s %v", s.Name, s.Value)
	}
	fmt.Fprintf(&b, "\n%s\n\n", r.Target)
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "  %-34s %14s %s\n", f.Label, human(f.Value), f.Unit)
	}
	if line := sparkline(r.Samples, 60); line != "" {
		fmt.Fprintf(&b, "\n  over time  %s\n", line)
	}
	if l := r.Latency; l != nil {
		fmt.Fprintf(&b, "\n  latency of %s, %s\n", human(float64(l.Count)), r.Timed)
		longest := 0.0
		rows := []struct {
			name string
			v    float64
		}{{"p50", l.P50}, {"p90", l.P90}, {"p99", l.P99}, {"p99.9", l.P999}, {"max", l.Max}, {"mean", l.Mean}}
		for _, row := range rows {
			longest = max(longest, math.Log10(row.v+1))
		}
		for _, row := range rows {
			// A logarithmic bar: the tail is what one looks for.
			n := int(30 * math.Log10(row.v+1) / max(longest, 1e-9))
			fmt.Fprintf(&b, "    %-6s %12s µs  %s\n", row.name, human(row.v), strings.Repeat("▇", n))
		}
	}
	for _, f := range r.Faults.list() {
		if f.Value > 0 {
			fmt.Fprintf(&b, "\n  FAULT      %s %s", human(f.Value), f.Label)
		}
	}
	if r.Faults.Any() {
		b.WriteByte('\n')
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\n  note: %s\n", n)
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

func (f Faults) list() []Figure {
	return []Figure{
		{"lost", "messages lost", "", float64(f.Lost)},
		{"doubled", "messages doubled", "", float64(f.Doubled)},
		{"disordered", "messages out of order", "", float64(f.Disordered)},
		{"foreign", "messages that nobody here sent", "", float64(f.Foreign)},
		{"refused", "messages refused", "", float64(f.Refused)},
		{"bad_acks", "acknowledgements out of order", "", float64(f.BadAcks)},
	}
}

// MarshalJSON makes one object: settings and figures by name.
func (r *Report) MarshalJSON() ([]byte, error) {
	settings, figures := map[string]any{}, map[string]float64{}
	for _, s := range r.Settings {
		settings[s.Name] = s.Value
	}
	for _, f := range r.Figures {
		figures[f.Key] = f.Value
	}
	return json.Marshal(struct {
		Workload string             `json:"workload"`
		Target   string             `json:"target"`
		Time     time.Time          `json:"time"`
		Settings map[string]any     `json:"settings"`
		Figures  map[string]float64 `json:"figures"`
		Latency  *Latency           `json:"latency,omitempty"`
		Faults   Faults             `json:"faults"`
		Samples  []float64          `json:"samples,omitempty"`
		Notes    []string           `json:"notes,omitempty"`
	}{r.Workload, r.Target, r.Time, settings, figures, r.Latency, r.Faults, r.Samples, r.Notes})
}

// WriteJSON writes the report for programs, on one line.
func (r *Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// human writes a number with three digits or so that mean something.
func human(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 1000:
		s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
		for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case a == math.Trunc(a):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// sparkline draws values as at most width blocks; "" for fewer than two.
func sparkline(values []float64, width int) string {
	if len(values) < 2 {
		return ""
	}
	const blocks = "▁▂▃▄▅▆▇█"
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	n := min(width, len(values))
	for i := range n {
		from, to := i*len(values)/n, (i+1)*len(values)/n
		sum := 0.0
		for _, v := range values[from:to] {
			sum += v
		}
		level := 0
		if top > 0 {
			level = int(7.99 * sum / float64(to-from) / top)
		}
		b.WriteString(string([]rune(blocks)[level]))
	}
	return b.String() + "  up to " + human(top) + "/s"
}
