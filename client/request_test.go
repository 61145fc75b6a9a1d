package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{ResponseInformation: "answers/"})
		server := w.client(client.Config{})
		if err := server.Respond(ctx, "upper", 1, func(_ context.Context, m client.Message) (mqtt.Message, error) {
			if !strings.HasPrefix(m.ResponseTopic, "answers/") {
				t.Errorf("response topic %q", m.ResponseTopic)
			}
			if len(m.Payload) == 0 {
				return mqtt.Message{}, errors.New("nothing to do")
			}
			return mqtt.Message{Payload: []byte(strings.ToUpper(string(m.Payload))), QoS: 1}, nil
		}); err != nil {
			t.Fatal(err)
		}
		c := w.client(client.Config{Options: client.Options{RequestResponseInfo: true}})
		var all sync.WaitGroup
		for _, text := range []string{"a", "b", "c", "d"} {
			all.Go(func() {
				m, err := c.Request(ctx, message("upper", text, 1))
				if err != nil || string(m.Payload) != strings.ToUpper(text) {
					t.Errorf("%s: %q %v", text, m.Payload, err)
				}
			})
		}
		all.Wait()
		c.Reconnect() // the response topic is restored with the rest
		if m, err := c.Request(ctx, message("upper", "again", 1)); err != nil || string(m.Payload) != "AGAIN" {
			t.Errorf("%q %v", m.Payload, err)
		}
		short, cancel := context.WithTimeout(ctx, s)
		defer cancel()
		if _, err := c.Request(short, message("upper", "", 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := c.Request(ctx, message("nobody", "", 1)); err == nil {
			t.Error("nobody answers")
		}
		old := w.client(client.Config{Options: client.Options{Version: mqtt.V311}})
		if _, err := old.Request(ctx, message("upper", "", 1)); err == nil {
			t.Error("3.1.1 has no requests")
		}
	})
}

func TestCarrier(t *testing.T) {
	shared := []mqtt.UserProperty{{Name: "a", Value: "1"}, {Name: "traceparent", Value: "old"}}
	m := mqtt.Message{Properties: mqtt.Properties{User: shared}}
	c := client.Carrier{Properties: &m.Properties}
	c.Set("traceparent", "new")
	if c.Get("traceparent") != "new" || c.Get("a") != "1" || c.Get("b") != "" || !slices.Equal(c.Keys(), []string{"a", "traceparent"}) {
		t.Error(m.User)
	}
	if shared[1].Value != "old" {
		t.Error("the shared properties have changed")
	}
}

// A client identifier is no part of a topic name as it is.
func TestRequestUnderAnyIdentifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		c := w.client(client.Config{Options: client.Options{ClientID: "+me/#"}})
		if err := c.Respond(ctx, "q", 1, func(_ context.Context, m client.Message) (mqtt.Message, error) {
			return message("", "yes", 1), nil
		}); err != nil {
			t.Fatal(err)
		}
		if m, err := c.Request(ctx, message("q", "", 1)); err != nil || string(m.Payload) != "yes" {
			t.Errorf("%q, %v", m.Payload, err)
		}
	})
}

// Requests made at once share one response topic.
func TestRequestsShareATopic(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{})
		ctx, cancel := context.WithCancel(ctx)
		one := later(func() error { _, err := c.Request(ctx, message("q", "", 0)); return err })
		two := later(func() error { _, err := c.Request(ctx, message("q", "", 0)); return err })
		p.suback(p.wantSubscribe().ID, 1)
		a, b := p.wantPublish(), p.wantPublish()
		if string(a.Properties.ResponseTopic) != string(b.Properties.ResponseTopic) {
			t.Errorf("%s and %s", a.Properties.ResponseTopic, b.Properties.ResponseTopic)
		}
		cancel()
		result(t, one)
		result(t, two)
	})
}
