package main

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/protect"
	"github.com/midgemq/midge/telemetry"
)

// sentFor is how long the end of the process waits for a collector.
const sentFor = 3 * time.Second

// A sending is what [telemetry] and OTEL_* want sent, if anything. It is owned by
// the goroutine of running.until.
type sending struct {
	cfg      telemetry.Config
	exporter *telemetry.Exporter // nil: nothing is sent
}

// telemetryFor reads what there is to send, and the files that are named there.
func telemetryFor(c *config.Config) (telemetry.Config, error) {
	return c.Telemetry.Config(os.Getenv)
}

// apply begins, changes or ends it. cfg has been checked.
func (s *sending) apply(cfg telemetry.Config, b *midge.Broker, shield *protect.Shield, log *slog.Logger) {
	if same(cfg, s.cfg) {
		return
	}
	s.end()
	if s.cfg = cfg; !cfg.On() {
		return
	}
	cfg.Logger = log
	cfg.Samples = admin.New(admin.Config{Broker: b, Shield: shield, Logger: log}).Samples
	var err error
	if s.exporter, err = telemetry.Start(b, cfg); err != nil {
		log.Error("there is no telemetry", "error", err)
		return
	}
	log.Info("telemetry", "endpoint", cfg.Endpoint, "traces", cfg.Traces, "metrics", cfg.Metrics, "ratio", cfg.Ratio)
}

// same reports whether two configurations want the same sent to the same place.
func same(x, y telemetry.Config) bool {
	if x.TLS != nil && y.TLS != nil && x.TLS.RootCAs.Equal(y.TLS.RootCAs) {
		y.TLS = x.TLS
	}
	return reflect.DeepEqual(x, y)
}

// end sends what is left. It comes before the broker's end.
func (s *sending) end() {
	if s.exporter == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sentFor)
	defer cancel()
	s.exporter.Close(ctx)
	s.exporter = nil
}
