package admin_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/trace"
)

func TestTrace(t *testing.T) {
	w := newWorld(t, midge.Config{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := w.serve(ln, "")
	nc := w.connect("a b&c", "u", "t/#")
	var kinds []string
	var out trace.Event
	f := trace.Filter{Client: "a b&c", User: "u", Topic: "t/1", Packets: true, Payload: 2, Events: 3}
	err = c.Trace(t.Context(), f, func(e trace.Event) {
		kinds = append(kinds, string(e.Kind)+" "+e.Fate)
		switch e.Kind {
		case trace.Began:
			m := packet.Publish{Topic: []byte("t/1"), Payload: []byte("<x>"), QoS: 0, Properties: new(packet.Properties)}
			if _, err := nc.Write(m.Append(nil, mqtt.V5)); err != nil {
				t.Error(err)
			}
		case trace.Out:
			out = e
		}
	})
	if got := strings.Join(kinds, ","); err != nil || got != "began ,in ,routed sent,out ,over " {
		t.Fatalf("%s %v", got, err)
	}
	if out.Topic != "t/1" || out.Payload != "<x" || out.Client != "a b&c" || out.User != "u" || out.Bytes != 3 {
		t.Errorf("%+v", out)
	}
}

func TestTraceEnds(t *testing.T) {
	w := newWorld(t, midge.Config{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := w.serve(ln, "")
	var refused *admin.Error
	for want, f := range map[string]trace.Filter{
		"topic": {Topic: "a#"}, "address": {Address: "x"}, "payload": {Payload: -1}, "up to 24h": {For: 25 * time.Hour}, "&events=-1": {Events: -1},
	} {
		err := c.Trace(t.Context(), f, nil)
		if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || !strings.Contains(refused.Text, want) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	// Those who go away leave nothing behind: more than there is room for, one after the other.
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		err := c.Trace(ctx, trace.Filter{Client: "x"}, func(trace.Event) { cancel() })
		for errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable && t.Context().Err() == nil {
			ctx, cancel = context.WithCancel(t.Context())
			err = c.Trace(ctx, trace.Filter{Client: "x"}, func(trace.Event) { cancel() })
		}
		if cancel(); err != nil {
			t.Fatal(err)
		}
	}
	var last trace.Event
	err = c.Trace(t.Context(), trace.Filter{}, func(e trace.Event) {
		if last = e; e.Kind == trace.Began {
			go w.b.Close()
		}
	})
	if err != nil || last.Detail != "the broker has ended" {
		t.Errorf("%v %+v", err, last)
	}
}
