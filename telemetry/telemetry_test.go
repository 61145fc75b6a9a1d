package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/trace"
)

func TestSampler(t *testing.T) {
	const yes, no = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for _, c := range []struct {
		cfg    Config
		parent string
		low    int
		high   int // of 10,000
	}{
		{Config{}, "", 0, 0},
		{Config{}, yes, 10000, 10000},
		{Config{Ratio: 1}, no, 0, 0},
		{Config{Ratio: 1}, "", 10000, 10000},
		{Config{Ratio: 1}, "damaged", 10000, 10000},
		{Config{IgnoreParents: true}, yes, 0, 0},
		{Config{IgnoreParents: true, Ratio: 1}, no, 10000, 10000},
		{Config{Ratio: 0.1}, "", 800, 1200},
	} {
		e := &Exporter{cfg: c.cfg, below: uint64(c.cfg.Ratio * (1 << 63))}
		e.room.Store(1)
		n := 0
		for range 10_000 {
			if (sampler{e}).Sample([]byte(c.parent)) {
				n++
			}
		}
		if n < c.low || n > c.high {
			t.Errorf("%+v, parent %q: %d", c.cfg, c.parent, n)
		}
	}
}

// What the collector does not take in time is not followed, and counted.
func TestSamplerBound(t *testing.T) {
	e := &Exporter{below: 1 << 63, full: make(chan struct{}, 1)}
	e.room.Store(journeysKept)
	for range journeysKept + 5 {
		if s := (sampler{e}); s.Sample(nil) {
			s.Tell(new(trace.Journey))
		}
	}
	(sampler{e}).Tell(new(trace.Journey)) // sampled before it was full
	if n := e.Counts().Unsampled; n != 6 {
		t.Errorf("%d were not followed", n)
	}
	if n := len(e.some()); n != journeysSent || !(sampler{e}).Sample(nil) {
		t.Errorf("%d are taken", n)
	}
}

// The document names what an Exporter says of itself.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`midge_telemetry_[a-z_]+`).FindAllString(string(text), -1)
	for _, s := range new(Exporter).own() {
		if !slices.Contains(named, s.Name) {
			t.Errorf("%s is not named", s.Name)
		}
		named = slices.DeleteFunc(named, func(name string) bool { return name == s.Name })
	}
	if len(named) > 0 {
		t.Errorf("there is no %s", named)
	}
}

// Nothing is left behind, and nothing followed, once it is closed; a collector
// that hangs does not keep it.
func TestClose(t *testing.T) {
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}, Logger: slog.New(slog.DiscardHandler), SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var traces, hang atomic.Int32
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hang.Load() > 0 {
			<-over
		}
		if body, _ := io.ReadAll(r.Body); r.URL.Path == "/v1/traces" && strings.Contains(string(body), "deliver") {
			traces.Add(1)
		}
	}))
	defer s.Close()
	defer close(over)
	start := func() *Exporter {
		e, err := Start(b, Config{Endpoint: s.URL, Ratio: 1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	stop, err := b.Subscribe("#", 0, func(mqtt.Message) {})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	e := start()
	b.Publish(mqtt.Message{Topic: "t"})
	e.Close(context.Background())
	b.Publish(mqtt.Message{Topic: "t"})
	if c := e.Counts(); traces.Load() != 1 || c.Spans != 3 || c.Points < 20 || c.SpansLost+c.PointsLost+c.Failures != 0 {
		t.Errorf("%d, %+v", traces.Load(), c)
	}
	hang.Store(1)
	e = start()
	b.Publish(mqtt.Message{Topic: "t"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.Close(ctx)
	if c := e.Counts(); c.SpansLost != 3 || c.PointsLost < 20 {
		t.Errorf("%+v", c)
	}
	if _, err := Start(b, Config{Endpoint: "x"}); err == nil {
		t.Error("a bad endpoint is taken")
	}
}
