package interop

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"

	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// A collector takes OTLP/HTTP and reads it with the types OpenTelemetry
// generates: its requests have the shape of these.
type collector struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	traces  []*tracepb.ResourceSpans
	metrics []*metricspb.ResourceMetrics
}

func newCollector(t *testing.T) *collector {
	c := &collector{t: t}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(w http.ResponseWriter, r *http.Request) {
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		c.t.Errorf("%s: %v", r.URL, err)
		return
	}
	body, err := io.ReadAll(z)
	if r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Authorization") != "Bearer token" || err != nil {
		c.t.Errorf("%s: %v %v", r.URL, r.Header, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/v1/traces":
		var m tracepb.TracesData
		c.read(body, &m)
		c.traces = append(c.traces, m.ResourceSpans...)
	case "/v1/metrics":
		var m metricspb.MetricsData
		c.read(body, &m)
		c.metrics = append(c.metrics, m.ResourceMetrics...)
	default:
		c.t.Errorf("a request for %s", r.URL)
	}
}

// read wants every field to be a known one.
func (c *collector) read(body []byte, m proto.Message) {
	if err := proto.Unmarshal(body, m); err != nil {
		c.t.Error(err)
	}
	protorange.Range(m.ProtoReflect(), func(v protopath.Values) error {
		if last := v.Index(-1); last.Step.Kind() == protopath.UnknownAccessStep {
			c.t.Errorf("unknown at %v", v.Path)
		}
		return nil
	})
}

func attributes(all []*commonpb.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range all {
		if m[kv.Key] = kv.Value.GetStringValue(); m[kv.Key] == "" {
			m[kv.Key] = fmt.Sprint(kv.Value.GetIntValue())
		}
	}
	return m
}

func TestTelemetry(t *testing.T) {
	c := newCollector(t)
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("Authorization: Bearer token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_SERVICE_NAME", "shop broker")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=here")
	b := serve(t, "--tcp", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--set", "telemetry.endpoint="+c.URL, "--set", "telemetry.headers_file="+headers,
		"--set", "telemetry.gzip=true", "--set", "telemetry.interval=1h", "--set", "limits.max_queued_messages=1")
	url := "mqtt://" + b.at["tcp"]
	sub := visit(t, url, "", "sub")
	sub.subscribe("a/#")
	gone := visit(t, url, "", "gone", func(o *client.Options) { o.SessionExpiry = time.Minute })
	gone.subscribe("a/b")
	gone.c.Close()
	awaitAway(t, b, "gone")
	pub := visit(t, url, "", "pub")
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	say := func(topic, context string) {
		m := mqtt.Message{Topic: topic, QoS: 1, Payload: []byte("payload")}
		if context != "" {
			carrier := client.Carrier{Properties: &m.Properties}
			carrier.Set("traceparent", context)
			carrier.Set("tracestate", "vendor=1")
		}
		if _, err := pub.c.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	say("a/b", "")
	say("a/b", "00-"+trace+"-"+parent+"-00")
	say("a/b", "00-"+trace+"-"+parent+"-01")
	sub.until("a/b")
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := b.ended(); code != 0 {
		t.Fatalf("exit %d\n%v", code, b.output())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.traces) != 1 || len(c.metrics) != 1 {
		t.Fatalf("%d and %d requests", len(c.traces), len(c.metrics))
	}
	for _, of := range []*resourcepb.Resource{c.traces[0].Resource, c.metrics[0].Resource} {
		if a := attributes(of.Attributes); a["service.name"] != "shop broker" || a["host.name"] != "here" || a["service.version"] == "" || a["service.instance.id"] == "" {
			t.Errorf("resource %v", a)
		}
	}
	wantSpans(t, c.traces[0], trace, parent)
	wantMetrics(t, c.metrics[0])
}

// awaitAway waits until the broker knows that a client has gone.
func awaitAway(t *testing.T, b *broker, id string) {
	t.Helper()
	_, where, _ := strings.Cut(b.want("seen at "), "seen at ")
	where, _, _ = strings.Cut(where, ";")
	c, err := admin.Open(where, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		s, err := c.Session(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Connected {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s stays", id)
}

// wantSpans wants one journey: received from parent, routed, delivered to one
// client and kept from another, whose queue holds one message.
func wantSpans(t *testing.T, all *tracepb.ResourceSpans, trace, parent string) {
	t.Helper()
	spans := all.ScopeSpans[0].Spans
	var texts []string
	names := map[string]string{parent: "client"}
	for _, s := range spans {
		names[hex.EncodeToString(s.SpanId)] = s.Name
		a := attributes(s.Attributes)
		texts = append(texts, fmt.Sprintf("%s in %s: %s %s %s %s%s %s", s.Name, names[hex.EncodeToString(s.ParentSpanId)],
			s.Kind, a["messaging.destination.name"], a["messaging.client.id"], a["mqtt.fate"], s.Status.GetMessage(), a["messaging.message.body.size"]))
		if hex.EncodeToString(s.TraceId) != trace || s.TraceState != "vendor=1" || len(s.SpanId) != 8 || a["messaging.system"] != "mqtt" || a["mqtt.qos"] != "1" ||
			a["messaging.operation.name"] != s.Name || s.Flags&1 == 0 || s.StartTimeUnixNano == 0 || s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Errorf("%v", s)
		}
		if remote := s.Flags&uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK) != 0; remote != (s.Name == "receive") ||
			s.Flags&uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK) == 0 {
			t.Errorf("flags of %s: %x", s.Name, s.Flags)
		}
	}
	slices.Sort(texts)
	want := []string{
		"deliver in route: SPAN_KIND_PRODUCER a/b gone queue fullqueue full ",
		"deliver in route: SPAN_KIND_PRODUCER a/b sub sent ",
		"receive in client: SPAN_KIND_CONSUMER a/b pub  7",
		"route in receive: SPAN_KIND_INTERNAL a/b   ",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
	for _, s := range spans {
		if failed := s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR; failed != (attributes(s.Attributes)["messaging.client.id"] == "gone") {
			t.Errorf("%v", s)
		}
	}
}

func wantMetrics(t *testing.T, all *metricspb.ResourceMetrics) {
	t.Helper()
	found := map[string]*metricspb.Metric{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if found[m.Name] != nil || m.Description == "" || m.Data == nil {
			t.Errorf("%v", m)
		}
		found[m.Name] = m
	}
	in := found["midge_received_messages_total"].GetSum()
	if in == nil || !in.IsMonotonic || in.AggregationTemporality != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE ||
		len(in.DataPoints) != 1 || in.DataPoints[0].GetAsDouble() != 3 || in.DataPoints[0].StartTimeUnixNano == 0 ||
		in.DataPoints[0].TimeUnixNano <= in.DataPoints[0].StartTimeUnixNano {
		t.Errorf("%v", in)
	}
	if b := found["midge_retained_bytes"]; b.GetGauge() == nil || b.Unit != "By" {
		t.Errorf("%v", b)
	}
	dropped := map[string]float64{}
	for _, p := range found["midge_dropped_messages_total"].GetSum().GetDataPoints() {
		dropped[attributes(p.Attributes)["reason"]] = p.GetAsDouble()
	}
	if dropped["queue"] != 2 || len(dropped) < 4 {
		t.Errorf("%v", dropped)
	}
	if s := found["midge_telemetry_spans_total"]; s == nil {
		t.Error("an exporter says nothing of itself")
	}
}
