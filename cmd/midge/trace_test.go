//go:build unix

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/trace"
)

func TestTraceCommand(t *testing.T) {
	broker, at := administered(t)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--topic a#", exitUsage, "a#"},
		{"--address 1.2.3", exitUsage, "address"},
		{"--for 48h", exitFailed, "up to 24h"},
		{"extra", exitUsage, "unexpected"},
		{"--client nobody --for 10ms", exitOK, "nothing happened"},
	} {
		code, out, errs := runFor(t, append([]string{"trace", "--url", at}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("midge trace %s: exit %d, want %d; want %q in\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}

	// It ends with the events of one publish; until it has begun they are repeated.
	c := connected(t, broker, "one")
	over := make(chan struct{})
	go func() {
		for {
			select {
			case <-over:
				return
			default:
				c.Publish(t.Context(), mqtt.Message{Topic: "a/b", QoS: 1, Payload: []byte("21.5")})
			}
		}
	}()
	code, out, errs := runFor(t, "trace", "--url", at, "--client", "one", "--payload", "3", "--events", "4", "--json")
	close(over)
	seen := map[trace.Kind]trace.Event{}
	for line := range strings.Lines(out) {
		var e trace.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		seen[e.Kind] = e
	}
	if in := seen[trace.In]; code != exitOK || in.Topic != "a/b" || in.Payload != "21." || in.Client != "one" ||
		seen[trace.Routed].Fate != trace.Nobody.String() || seen[trace.Over].Detail == "" || seen[trace.Began].Detail != `client "one"` {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}
