package telemetry

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/midgemq/midge/admin"
)

// A Config says where to send what. In numbers the zero is the default.
type Config struct {
	// Endpoint is the collector, as in http://127.0.0.1:4318: traces go to
	// /v1/traces below it, metrics to /v1/metrics. Traces and Metrics name whole
	// URLs in its place; "none" sends none of them.
	Endpoint, Traces, Metrics string

	// Headers go along with every request, TraceHeaders and MetricHeaders with
	// those of their kind: tokens, mostly.
	Headers, TraceHeaders, MetricHeaders map[string]string

	Interval time.Duration // between metrics, at least a second; 0: a minute
	Timeout  time.Duration // of a request; 0: 10s
	Gzip     bool          // compress requests
	TLS      *tls.Config   // of https; nil: the system's authorities

	// Ratio is how many of the messages without a trace context are followed,
	// [0, 1]. Those with one are followed if it says so (its sampled flag), but
	// with IgnoreParents, which treats all alike.
	Ratio         float64
	IgnoreParents bool

	// Service is service.name; empty: midge. Attributes are further ones of the
	// resource.
	Service    string
	Attributes map[string]string

	// Samples reads the metrics; nil: what admin.Handler.Samples has of the broker.
	Samples func() []admin.Sample

	// Logger hears when the collector takes nothing, and when it does again. nil
	// is slog.Default.
	Logger *slog.Logger
}

// None is a URL of what is not sent.
const None = "none"

// On reports whether there is anywhere to send to.
func (c *Config) On() bool {
	return c.urlOf("traces", c.Traces) != "" || c.urlOf("metrics", c.Metrics) != ""
}

// urlOf is where signals of a kind go, "" for nowhere.
func (c *Config) urlOf(kind, own string) string {
	switch {
	case own == None || own == "" && c.Endpoint == "":
		return ""
	case own != "":
		return own
	}
	return strings.TrimSuffix(c.Endpoint, "/") + "/v1/" + kind
}

// Check names everything that cannot be, by the field.
func (c *Config) Check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("telemetry: "+format, args...)) }
	for _, u := range [][2]string{{"endpoint", c.Endpoint}, {"traces", c.Traces}, {"metrics", c.Metrics}} {
		if u[1] == "" || u[1] == None {
			continue
		}
		switch parsed, err := url.Parse(u[1]); {
		case err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https":
			fail("%s: %q is no URL such as http://127.0.0.1:4318", u[0], u[1])
		case parsed.User != nil: // it would be in the log
			fail("%s: a user and a password belong into a header, not into the URL", u[0])
		}
	}
	if c.Interval != 0 && c.Interval < time.Second {
		fail("interval: %v is less than a second", c.Interval)
	}
	if c.Timeout < 0 {
		fail("timeout: %v is less than nothing", c.Timeout)
	}
	if !(c.Ratio >= 0 && c.Ratio <= 1) {
		fail("ratio: %v is not between 0 and 1", c.Ratio)
	}
	return errors.Join(errs...)
}
