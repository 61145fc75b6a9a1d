package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func sample() *Report {
	var h Histogram
	for i := range 1000 {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	t := Target{URL: "tcp://127.0.0.1:1883"}
	r := t.newReport("pairs")
	r.set("clients", 10)
	r.add("messages_per_second", "delivered", "messages/s", 1234567)
	r.Samples = []float64{0, 1, 2, 4, 8}
	r.Latency = h.Latency()
	r.Faults.Lost = 3
	r.Notes = []string{"<b> & so on"}
	return r
}

func TestReportAsText(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pairs", "clients 10", "1,234,567 messages/s", "▁▁▂▄█", "p99.9", "3 messages lost", "note: "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var r struct {
		Workload string
		Settings map[string]any
		Figures  map[string]float64
		Latency  map[string]any
		Faults   Faults
	}
	if err := json.Unmarshal(b.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Workload != "pairs" || r.Figures["messages_per_second"] != 1234567 || r.Faults.Lost != 3 ||
		r.Settings["clients"] != 10.0 || r.Latency["count"] != 1000.0 {
		t.Errorf("%+v", r)
	}
}

// Charts are XML, whatever is in their names.
func TestCharts(t *testing.T) {
	r := sample()
	curve := r.Chart()
	r.Latency = nil
	bars := &Chart{Title: "a < b & c", Unit: "µs", Log: true, Bars: []Bar{{"g", "x", 0, true}, {"g", "y", 12, false}, {"h", "<z>", 300, false}}}
	for _, c := range []*Chart{curve, r.Chart(), bars, {Title: "nothing", Lines: []Line{{"l", nil}}}} {
		var b bytes.Buffer
		if err := c.WriteSVG(&b); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		d := xml.NewDecoder(&b)
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", c.Title, err, text)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: a coordinate is no number\n%s", c.Title, text)
		}
	}
	r.Samples = nil
	if r.Chart() != nil {
		t.Error("a chart of nothing")
	}
}

func TestHuman(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 7: "7", 1234: "1,234", 1234567.8: "1,234,568", .1234: "0.123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", -4096: "-4,096",
	} {
		if got := human(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}
