package interop

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// What /metrics says is parsed by Prometheus's own library, and promtool's
// checks have nothing to say about its names.
func TestMetricsForPrometheus(t *testing.T) {
	m := start(t, binary, "serve", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	_, rest, _ := strings.Cut(m.want("listens on "), "tcp://")
	_, port, _ := strings.Cut(strings.Fields(rest)[0], ":")
	for range 3 {
		pub := start(t, binary, "pub", "-p", port, "-t", "t", "-m", "x", "-q", "1")
		<-pub.done
	}
	_, where, _ := strings.Cut(m.want("seen at "), "seen at ")
	where, _, _ = strings.Cut(where, ";")
	resp, err := http.Get(where + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	if f := expfmt.ResponseFormat(resp.Header); f.FormatType() != expfmt.TypeTextPlain {
		t.Errorf("the format is %q", f)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for name, want := range map[string]float64{
		"midge_received_messages_total": 3, "midge_connects_total": 3, "midge_ready": 1, "midge_dropped_messages_total": 0,
	} {
		f := families[name]
		if f == nil {
			t.Errorf("there is no %s", name)
			continue
		}
		v := f.Metric[0].Gauge.GetValue()
		if f.GetType() == dto.MetricType_COUNTER {
			v = f.Metric[0].Counter.GetValue()
		}
		if v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	if n := len(families["midge_connections"].GetMetric()); n != 2 {
		t.Errorf("%d listeners have connections, want 2", n)
	}
	if len(families) < 35 {
		t.Errorf("%d families", len(families))
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
}
