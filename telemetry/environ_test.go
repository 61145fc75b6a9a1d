package telemetry

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func read(c Config, vars map[string]string) (Config, error) {
	err := c.ReadEnv(func(name string) string { return vars[name] })
	return c, err
}

func TestReadEnv(t *testing.T) {
	got, err := read(Config{Headers: map[string]string{"a": "mine"}, Service: "mine"}, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT":         " http://x:4318 ",
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://y/m",
		"OTEL_EXPORTER_OTLP_HEADERS":          "a=theirs, b=c%20d",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS":   "t=1",
		"OTEL_EXPORTER_OTLP_COMPRESSION":      "gzip",
		"OTEL_EXPORTER_OTLP_PROTOCOL":         "http/protobuf",
		"OTEL_EXPORTER_OTLP_TIMEOUT":          "2500",
		"OTEL_METRIC_EXPORT_INTERVAL":         "5000",
		"OTEL_SERVICE_NAME":                   "theirs",
		"OTEL_RESOURCE_ATTRIBUTES":            "host.name=h",
		"OTEL_TRACES_SAMPLER":                 "parentbased_traceidratio",
		"OTEL_TRACES_SAMPLER_ARG":             "0.25",
	})
	want := Config{
		Endpoint: "http://x:4318", Metrics: "http://y/m",
		Headers: map[string]string{"a": "mine", "b": "c d"}, TraceHeaders: map[string]string{"t": "1"},
		Gzip: true, Timeout: 2500 * time.Millisecond, Interval: 5 * time.Second, Service: "mine",
		Attributes: map[string]string{"host.name": "h"}, Ratio: 0.25,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v, %v", got, want, err)
	}
}

func TestReadEnvSamplers(t *testing.T) {
	on := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}
	for sampler, want := range map[string]Config{
		"": {}, "always_on": {Ratio: 1, IgnoreParents: true}, "always_off": {IgnoreParents: true},
		"traceidratio": {Ratio: 1, IgnoreParents: true}, "parentbased_always_on": {Ratio: 1}, "parentbased_always_off": {},
	} {
		on["OTEL_TRACES_SAMPLER"] = sampler
		if c, err := read(Config{}, on); err != nil || c.Ratio != want.Ratio || c.IgnoreParents != want.IgnoreParents {
			t.Errorf("%s: %v %v %v", sampler, c.Ratio, c.IgnoreParents, err)
		}
	}
	on["OTEL_TRACES_SAMPLER"] = "always_on"
	if c, _ := read(Config{Ratio: 0.5}, on); c.Ratio != 0.5 || c.IgnoreParents {
		t.Errorf("the ratio that is said is %v", c.Ratio)
	}
}

func TestReadEnvOff(t *testing.T) {
	for name, value := range map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none"} {
		c, err := read(Config{Endpoint: "http://x"}, map[string]string{name: value, "OTEL_METRICS_EXPORTER": "none"})
		if err != nil || c.On() {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	if c, err := read(Config{}, map[string]string{"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}); err != nil || c.On() {
		t.Errorf("what is off reads %v", err)
	}
}

func TestReadEnvErrors(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_HEADERS": "s3cret", "OTEL_EXPORTER_OTLP_TIMEOUT": "1s",
		"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nonexistent", "OTEL_TRACES_SAMPLER": "jaeger_remote", "OTEL_TRACES_EXPORTER": "zipkin",
		"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd",
	} {
		_, err := read(Config{Endpoint: "http://x"}, map[string]string{name: value})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
