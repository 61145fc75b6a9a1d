package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// ReadEnv fills in what c leaves unsaid from the variables that OpenTelemetry
// has for it; getenv is os.Getenv. OTEL_SDK_DISABLED=true turns everything off.
// What the variables ask for and is not to be had here, such as gRPC, is an
// error: it would be missed later.
func (c *Config) ReadEnv(getenv func(string) string) error {
	e := environ{getenv: getenv}
	if e.get("OTEL_SDK_DISABLED") == "true" {
		*c = Config{}
		return nil
	}
	c.Endpoint = e.or(c.Endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT")
	if !c.hasOwnPlace() {
		c.Traces = e.or(c.Traces, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
		c.Metrics = e.or(c.Metrics, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
	}
	if e.oneOf("OTEL_TRACES_EXPORTER", "otlp", "none") == None {
		c.Traces = None
	}
	if e.oneOf("OTEL_METRICS_EXPORTER", "otlp", "none") == None {
		c.Metrics = None
	}
	if !c.On() {
		return errors.Join(e.errs...)
	}
	c.Headers = e.pairs("OTEL_EXPORTER_OTLP_HEADERS", c.Headers)
	c.TraceHeaders = e.pairs("OTEL_EXPORTER_OTLP_TRACES_HEADERS", c.TraceHeaders)
	c.MetricHeaders = e.pairs("OTEL_EXPORTER_OTLP_METRICS_HEADERS", c.MetricHeaders)
	c.Attributes = e.pairs("OTEL_RESOURCE_ATTRIBUTES", c.Attributes)
	c.Service = e.or(c.Service, "OTEL_SERVICE_NAME")
	c.Gzip = c.Gzip || e.oneOf("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "none") == "gzip"
	e.oneOf("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	e.oneOf("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
	e.oneOf("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")
	c.Timeout = e.millis("OTEL_EXPORTER_OTLP_TIMEOUT", c.Timeout)
	c.Interval = e.millis("OTEL_METRIC_EXPORT_INTERVAL", c.Interval)
	if c.TLS == nil {
		c.TLS = e.roots("OTEL_EXPORTER_OTLP_CERTIFICATE")
	}
	e.sampler(c)
	return errors.Join(e.errs...)
}

// hasOwnPlace reports whether c says itself where everything goes.
func (c *Config) hasOwnPlace() bool { return c.Endpoint != "" && c.Traces != "" && c.Metrics != "" }

// An environ reads variables and collects what is wrong with them.
type environ struct {
	getenv func(string) string
	errs   []error
}

func (e *environ) get(name string) string { return strings.TrimSpace(e.getenv(name)) }

func (e *environ) fail(name, format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf(name+": "+format, args...))
}

func (e *environ) or(said, name string) string {
	if said != "" {
		return said
	}
	return e.get(name)
}

// oneOf is the variable's value, which is one of few, or empty.
func (e *environ) oneOf(name string, known ...string) string {
	v := e.get(name)
	for _, k := range known {
		if v == k || v == "" {
			return v
		}
	}
	e.fail(name, "%q is not to be had; there is %s", v, strings.Join(known, ", "))
	return v
}

// pairs are key=value,key=value, percent-encoded, under those that are said.
func (e *environ) pairs(name string, said map[string]string) map[string]string {
	text := e.get(name)
	if text == "" {
		return said
	}
	all := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || err != nil || key == "" {
			e.fail(name, "want key=value,key=value") // not what it is: it may be a secret
			return said
		}
		all[key] = value
	}
	for key, value := range said {
		all[key] = value
	}
	return all
}

func (e *environ) millis(name string, said time.Duration) time.Duration {
	text := e.get(name)
	if said != 0 || text == "" {
		return said
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		e.fail(name, "%q is no number of milliseconds", text)
	}
	return time.Duration(n) * time.Millisecond
}

func (e *environ) roots(name string) *tls.Config {
	file := e.get(name)
	if file == "" {
		return nil
	}
	cfg, err := Roots(file)
	if err != nil {
		e.fail(name, "%w", err)
	}
	return cfg
}

// Roots is a TLS configuration that trusts the authorities in a PEM file alone.
func Roots(file string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// sampler is OTEL_TRACES_SAMPLER, unless c has a ratio of its own.
func (e *environ) sampler(c *Config) {
	const name = "OTEL_TRACES_SAMPLER"
	kind := e.oneOf(name, "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")
	if c.Ratio != 0 || c.IgnoreParents || kind == "" {
		return
	}
	kind, c.IgnoreParents = strings.TrimPrefix(kind, "parentbased_"), !strings.HasPrefix(kind, "parentbased_")
	switch kind {
	case "always_on":
		c.Ratio = 1
	case "traceidratio":
		c.Ratio = 1
		if arg := e.get(name + "_ARG"); arg != "" {
			var err error
			if c.Ratio, err = strconv.ParseFloat(arg, 64); err != nil {
				e.fail(name+"_ARG", "%q is no number", arg)
			}
		}
	}
}
