package admin

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/protect"
)

var update = flag.Bool("update", false, "write the table of docs/observability.md")

// fill gives every number of a struct a value of its own, and lists them.
func fill(v reflect.Value, path string, all map[string]string) {
	for i := range v.NumField() {
		f, name := v.Field(i), path+"."+v.Type().Field(i).Name
		n := 1_000_000 + len(all)
		switch {
		case f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]():
			fill(f, name, all)
			continue
		case f.CanInt():
			f.SetInt(int64(n))
		case f.CanUint():
			f.SetUint(uint64(n))
		case f.CanFloat():
			f.SetFloat(float64(n))
		default:
			continue
		}
		all[name] = fmt.Sprint(n)
	}
}

// What is counted is shown: a counter that somebody adds to Stats has to have a
// metric.
func TestEveryNumberHasAMetric(t *testing.T) {
	s := scrape{ready: true, shield: new(protect.Counts)}
	s.Listeners = []midge.ListenerStats{{URL: `tcp://"\` + "\n", Connections: 7}}
	all := map[string]string{}
	fill(reflect.ValueOf(&s.Stats).Elem(), "Stats", all)
	fill(reflect.ValueOf(&s.Process).Elem(), "Process", all)
	fill(reflect.ValueOf(s.shield).Elem(), "Counts", all)
	if len(all) < 30 {
		t.Fatalf("%d numbers", len(all))
	}
	var out bytes.Buffer
	expose(&out, &s)
	// The sum of connections is what the listeners have.
	delete(all, "Stats.Connections")
	// The sum of clients is what the versions have.
	delete(all, "Stats.Clients")
	for name, n := range all {
		if v := " " + n + "\n"; !strings.Contains(out.String(), v) {
			t.Errorf("%s (%s) is in no metric", name, v)
		}
	}
	if want := `midge_connections{listener="tcp://\"\\\n"} 7` + "\n"; !strings.Contains(out.String(), want) {
		t.Errorf("no %s in\n%s", want, &out)
	}
}

const begin, end = "<!-- metrics: go test ./admin -update -->\n", "<!-- /metrics -->\n"

// What the document says of metrics elsewhere, its alert rules above all, is
// about metrics there are.
func TestDocumentKnowsNoOtherMetrics(t *testing.T) {
	text, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range Metrics() {
		known[m.Name] = true
	}
	names := regexp.MustCompile(`\b(midge|process|go)_[a-z_]+`).FindAllString(string(text), -1)
	for _, name := range names {
		if !known[name] && !strings.HasPrefix(name, "midge_telemetry_") { // those it sends itself
			t.Errorf("there is no metric %s", name)
		}
	}
	if len(names) < len(known) {
		t.Errorf("%d names", len(names))
	}
}

// The document says what the code does.
func TestDocumentedMetrics(t *testing.T) {
	const file = "../docs/observability.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| metric | kind | label | what it is |\n|---|---|---|---|\n")
	s := scrape{Stats: midge.Stats{Listeners: []midge.ListenerStats{{URL: "its URL"}}, Version: "its number"}, shield: new(protect.Counts)}
	for _, m := range Metrics() {
		kind, label := "gauge", ""
		if m.Counter {
			kind = "counter"
		}
		if m.Label != "" {
			label = "`" + m.Label + "`: "
			for i, v := range m.values(&s) {
				if i > 0 {
					label += ", "
				}
				label += strings.Replace(v.label, "go1.", "of Go, go1.", 1)
			}
			label = regexp.MustCompile(`of Go, .*`).ReplaceAllString(label, "its number")
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", m.Name, kind, label, m.Help)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", file)
	}
	if old == table.String() {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the code says; go test ./admin -update writes it", file)
	}
	if err := os.WriteFile(file, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
