package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/midgemq/midge/telemetry"
)

// Telemetry is package telemetry.
type Telemetry struct {
	Endpoint    string   `toml:"endpoint" live:"yes" help:"Where the collector is, as in http://127.0.0.1:4318; it gets /v1/traces and /v1/metrics."`
	HeadersFile string   `toml:"headers_file" live:"yes" help:"File with headers that go along, such as tokens: a Name: value a line."`
	CAFile      string   `toml:"ca_file" live:"yes" help:"PEM file with the authorities that https is checked with. Unsaid: the system's."`
	Interval    Duration `toml:"interval" live:"yes" help:"Time between two reports of metrics, at least 1s; 0: 1m."`
	Ratio       float64  `toml:"ratio" live:"yes" help:"How many of the messages that come without a trace context are followed, 0 to 1; each that is leaves the fast path."`
	Follow      bool     `toml:"follow" live:"yes" help:"Follow the messages of MQTT 5.0 clients that come with a trace context (traceparent) that says so."`
	Gzip        bool     `toml:"gzip" live:"yes" help:"Compress what is sent."`
	Service     string   `toml:"service" live:"yes" help:"What the broker is called there (service.name). Unsaid: midge."`
	Attributes  []string `toml:"attributes" live:"yes" help:"What else is said of it, as in deployment.environment=test."`
}

// Config is what to send where, with what OTEL_* variables say and t leaves
// unsaid. It reads the files that t names.
func (t *Telemetry) Config(getenv func(string) string) (c telemetry.Config, err error) {
	c = telemetry.Config{
		Endpoint: t.Endpoint, Interval: time.Duration(t.Interval), Gzip: t.Gzip,
		Ratio: t.Ratio, IgnoreParents: !t.Follow, Service: t.Service,
	}
	var bad error
	if t.CAFile != "" {
		if c.TLS, bad = telemetry.Roots(t.CAFile); bad != nil {
			err = fmt.Errorf("telemetry.ca_file: %w", bad)
		}
	}
	if t.HeadersFile != "" {
		if c.Headers, bad = readHeaders(t.HeadersFile); bad != nil {
			err = errors.Join(err, fmt.Errorf("telemetry.headers_file: %w", bad))
		}
	}
	for _, a := range t.Attributes {
		if c.Attributes == nil {
			c.Attributes = map[string]string{}
		}
		key, value, _ := strings.Cut(a, "=")
		c.Attributes[key] = value
	}
	return c, errors.Join(err, c.ReadEnv(getenv), c.Check())
}

// readHeaders takes lines of Name: value; those that begin with # are none.
func readHeaders(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(name, " \t") || name == "" { // not what it is: it may be a secret
			return nil, fmt.Errorf("%s:%d: want Name: value", file, n)
		}
		all[http.CanonicalHeaderKey(name)] = strings.TrimSpace(value)
	}
	return all, lines.Err()
}

func (t *Telemetry) check(fail func(key, format string, args ...any)) {
	for key, c := range map[string]telemetry.Config{
		"endpoint": {Endpoint: t.Endpoint}, "interval": {Interval: time.Duration(t.Interval)}, "ratio": {Ratio: t.Ratio},
	} {
		if err := c.Check(); err != nil {
			fail(key, "%w", err)
		}
	}
	for _, a := range t.Attributes {
		if key, _, ok := strings.Cut(a, "="); !ok || key == "" {
			fail("attributes", "%q: want name=value", a)
		}
	}
}
