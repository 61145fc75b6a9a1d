package telemetry

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	for want, c := range map[string]Config{
		"endpoint": {Endpoint: "localhost:4318"},
		"header":   {Endpoint: "http://u:s3cret@x"},
		"traces":   {Traces: "grpc://x"},
		"metrics":  {Metrics: "http://"},
		"interval": {Interval: time.Millisecond},
		"timeout":  {Timeout: -1},
		"ratio":    {Ratio: 1.5},
		"ratio: N": {Ratio: math.NaN()},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []Config{{}, {Endpoint: "https://x/otlp/", Traces: None, Ratio: 1, Interval: time.Second}} {
		if err := c.Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhereTo(t *testing.T) {
	for _, c := range []struct {
		cfg             Config
		on              bool
		traces, metrics string
	}{
		{Config{}, false, "", ""},
		{Config{Endpoint: "http://x:4318/"}, true, "http://x:4318/v1/traces", "http://x:4318/v1/metrics"},
		{Config{Endpoint: "http://x", Traces: None}, true, "", "http://x/v1/metrics"},
		{Config{Endpoint: "http://x", Traces: None, Metrics: None}, false, "", ""},
		{Config{Traces: "http://y/t"}, true, "http://y/t", ""},
	} {
		if on, tr, me := c.cfg.On(), c.cfg.urlOf("traces", c.cfg.Traces), c.cfg.urlOf("metrics", c.cfg.Metrics); on != c.on || tr != c.traces || me != c.metrics {
			t.Errorf("%+v: %v %q %q", c.cfg, on, tr, me)
		}
	}
}
