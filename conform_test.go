package midge_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/conform"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
	"github.com/midgemq/midge/transport"
)

// Every check of the conformance suite, each against a broker of its own in
// fake time. Those that speak HTTP run over a real socket.
func TestConformance(t *testing.T) {
	for _, c := range conform.Cases() {
		t.Run(c.String(), func(t *testing.T) {
			if strings.HasPrefix(c.Check.Name, "websocket/") {
				target := webTarget(t)
				defer target.Close()
				judge(t, c, target)
				return
			}
			synctest.Test(t, func(t *testing.T) {
				target, b := pipeTarget(midge.Config{})
				defer target.Close()
				judge(t, c, target)
				synctest.Wait()
				if n := b.SessionCount(); n > 0 {
					t.Errorf("it left %d sessions behind", n)
				}
				if n := b.Miscounted(); n != 0 {
					t.Errorf("the budget is %d bytes off", n)
				}
			})
		})
	}
}

func judge(t *testing.T, c conform.Case, target conform.Target) {
	switch r := c.Run(t.Context(), target); r.Outcome {
	case conform.Fail:
		t.Errorf("%s\n%s", r.Detail, strings.Join(r.Log, "\n"))
	case conform.Skip:
		t.Errorf("skipped, although midge offers everything: %s", r.Detail)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// pipeTarget starts a broker that is reached through memory.
func pipeTarget(cfg midge.Config) (conform.Target, *midge.Broker) {
	cfg.Listeners, cfg.Logger = []midge.Listener{}, quiet()
	b, err := midge.New(cfg)
	if err != nil {
		panic(err)
	}
	ln := transport.ListenPipe("midge", 0)
	b.Serve(ln)
	return conform.Target{
		Name:  "midge",
		Dial:  func(ctx context.Context) (net.Conn, error) { return ln.Dial(ctx) },
		Close: func() { b.Close() },
		With: func(o conform.Options) (conform.Target, bool) {
			special, _ := pipeTarget(configFor(o))
			return special, true
		},
	}, b
}

func webTarget(t *testing.T) conform.Target {
	b, err := midge.New(midge.Config{Logger: quiet(), Listeners: []midge.Listener{{URL: "ws://127.0.0.1:0/mqtt"}}})
	if err != nil {
		t.Fatal(err)
	}
	url := b.Addrs()[0]
	host := strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/mqtt")
	return conform.Target{
		Name: "midge over WebSocket",
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.Dial(ctx, url, transport.DialOptions{})
		},
		DialHTTP: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", host)
		},
		Close: func() { b.Close() },
	}
}

// configFor is the broker a check asks for.
func configFor(o conform.Options) midge.Config {
	cfg := midge.Config{
		NoRetain: o.NoRetain, NoWildcards: o.NoWildcard, NoSubscriptionIDs: o.NoSubscriptionIDs, NoShared: o.NoShared,
		MaxPacketSize: int(o.MaxPacketSize), ReceiveMaximum: int(o.ReceiveMaximum),
		TopicAliasMaximum: int(o.TopicAliasMaximum), ConnectTimeout: o.ConnectTimeout,
		MaxKeepAlive:        time.Duration(o.ServerKeepAlive) * time.Second,
		MaxSessionExpiry:    time.Duration(o.SessionExpiryMaximum) * time.Second,
		ResponseInformation: o.ResponseInformation,
	}
	if o.MaxQoS != nil {
		if cfg.MaxQoS = int(*o.MaxQoS); cfg.MaxQoS == 0 {
			cfg.MaxQoS = -1
		}
	}
	denied := &midge.Refusal{Code: mqtt.NotAuthorized, Reason: "denied by the test"}
	cfg.Hooks.Authenticate = func(_ context.Context, c *midge.Connect) error {
		switch {
		case o.DenyUser != "" && c.Username == o.DenyUser:
			return denied
		case o.RefuseEmptyClientID && c.Assigned:
			return &midge.Refusal{Code: mqtt.ClientIdentifierNotValid}
		}
		return nil
	}
	cfg.Hooks.Publish = func(_ context.Context, _ midge.ClientInfo, m *mqtt.Message) error {
		if o.DenyPublish != "" && topic.Match(o.DenyPublish, m.Topic) {
			return denied
		}
		return nil
	}
	cfg.Hooks.Subscribe = func(_ context.Context, _ midge.ClientInfo, s *midge.Subscription) error {
		if o.DenySubscribe != "" && s.Filter == o.DenySubscribe {
			return denied
		}
		return nil
	}
	if o.AuthMethod != "" {
		cfg.Hooks.Enhanced = func(_ context.Context, _ *midge.Connect, method string) midge.Exchange {
			if method != o.AuthMethod {
				return nil
			}
			return new(echo)
		}
	}
	return cfg
}

// echo lets in whoever repeats its challenge.
type echo struct{ challenged bool }

func (e *echo) Step(_ context.Context, data []byte) ([]byte, bool, error) {
	if !e.challenged {
		e.challenged = true
		return []byte("say this"), false, nil
	}
	if string(data) != "say this" {
		return nil, false, errors.New("wrong answer")
	}
	return nil, true, nil
}
