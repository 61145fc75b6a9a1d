package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestTelemetry(t *testing.T) {
	dir := t.TempDir()
	headers := filepath.Join(dir, "headers")
	write := func(text string) {
		if err := os.WriteFile(headers, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# of the collector\n\nauthorization: Bearer a:b \nX-Tenant:7\n")
	c, err := Parse("m.toml", []byte("[telemetry]\nendpoint = 'http://x'\nheaders_file = '"+headers+"'\nratio = 0.25\ngzip = true\nattributes = ['a=b=c']\n"))
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"OTEL_SERVICE_NAME": "s", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://y"}
	got, err := c.Telemetry.Config(func(name string) string { return env[name] })
	if err != nil || got.Endpoint != "http://x" || got.Ratio != 0.25 || got.IgnoreParents || !got.Gzip || got.Service != "s" ||
		!reflect.DeepEqual(got.Headers, map[string]string{"Authorization": "Bearer a:b", "X-Tenant": "7"}) ||
		!reflect.DeepEqual(got.Attributes, map[string]string{"a": "b=c"}) {
		t.Errorf("%+v %v", got, err)
	}
	write("s3cret\n")
	if _, err := c.Telemetry.Config(os.Getenv); err == nil || !strings.Contains(err.Error(), "headers:1") || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
	if got, err := Default().Telemetry.Config(func(string) string { return "" }); err != nil || got.On() {
		t.Errorf("a broker that is told nothing sends to %+v, %v", got, err)
	}
	env = map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://y", "OTEL_TRACES_SAMPLER": "always_on"}
	if got, err := Default().Telemetry.Config(func(name string) string { return env[name] }); err != nil || !got.On() || got.Ratio != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTelemetryCheck(t *testing.T) {
	for text, want := range map[string]string{
		"endpoint = 'x:1'": "telemetry.endpoint", "interval = '1ms'": "telemetry.interval", "ratio = 2": "telemetry.ratio",
		"attributes = ['a']": "telemetry.attributes", "ca_file = 'x'\nratio = 1": "",
	} {
		c, err := Parse("m.toml", []byte("[telemetry]\n"+text))
		if err == nil {
			err = c.Check()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	c := Default()
	if err := c.Set("telemetry.ratio", "0.125"); err != nil || c.Telemetry.Ratio != 0.125 {
		t.Error(c.Telemetry.Ratio, err)
	}
	if err := c.Set("telemetry.ratio", "much"); err == nil {
		t.Error("much is a number")
	}
}
