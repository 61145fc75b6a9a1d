package main

import (
	"context"
	"log/slog"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/trace"
)

// A traceLog is the trace that [trace] wants in the log, if any. It is owned by
// the goroutine of running.until.
type traceLog struct {
	of   config.Trace
	stop func() // ends it and waits; nil: there is none
}

// apply begins, changes or ends it.
func (l *traceLog) apply(b *midge.Broker, of config.Trace, log *slog.Logger) {
	if of == l.of {
		return
	}
	l.end()
	if l.of = of; !of.On() {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := b.Trace(ctx, of.Filter(), func(e trace.Event) { log.Info("trace", slog.Any("", e)) })
		if err != nil {
			log.Error("there is no trace in the log", "error", err)
		}
	}()
	l.stop = func() {
		cancel()
		<-over
	}
}

func (l *traceLog) end() {
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
}
