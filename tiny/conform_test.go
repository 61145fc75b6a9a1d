package tiny_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge/conform"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/tiny"
	"github.com/midgemq/midge/tiny/host"
	"github.com/midgemq/midge/topic"
	"github.com/midgemq/midge/transport"
)

// Every check of the conformance suite that the fixed-memory broker's limits
// allow, each against a broker of its own in fake time.
func TestConformance(t *testing.T) {
	ran := map[mqtt.Version]int{}
	for _, c := range conform.Cases() {
		t.Run(c.String(), func(t *testing.T) {
			excuse := conform.Excused(c.Check)
			if strings.HasPrefix(c.Check.Name, "stall/") && excuse != "" {
				t.Skip(excuse)
			}
			synctest.Test(t, func(t *testing.T) {
				target := pipeTarget(t, roomy(), tiny.Hooks{})
				switch r := c.Run(t.Context(), target); r.Outcome {
				case conform.Fail:
					t.Errorf("%s\n%s", r.Detail, strings.Join(r.Log, "\n"))
				case conform.Skip:
					if excuse == "" {
						t.Errorf("skipped without an excuse: %s", r.Detail)
					}
				default:
					ran[c.Version]++
				}
			})
		})
	}
	t.Logf("checks passed by version: %v", ran)
}

// roomy are limits that leave the suite its elbow room.
func roomy() tiny.Limits {
	return tiny.Limits{
		Clients: 16, Filters: 128, MaxPacket: 16384, Queue: 64, Inflight: 16, Retained: 64, RetainedBytes: 64 << 10, Slab: 256 << 10,
	}
}

// pipeTarget starts a broker that is reached through memory.
func pipeTarget(t *testing.T, l tiny.Limits, h tiny.Hooks) conform.Target {
	b, err := tiny.New(l, h)
	if err != nil {
		t.Fatal(err)
	}
	ln := transport.ListenPipe("tiny", 0)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- host.New(b).Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return conform.Target{
		Name: "tiny", MaxPacket: b.Limits().MaxPacket,
		Dial:  func(ctx context.Context) (net.Conn, error) { return ln.Dial(ctx) },
		Close: func() {},
		With: func(o conform.Options) (conform.Target, bool) {
			if l, h, ok := limitsFor(o); ok {
				return pipeTarget(t, l, h), true
			}
			return conform.Target{}, false
		},
	}
}

// limitsFor is the broker a check asks for.
func limitsFor(o conform.Options) (tiny.Limits, tiny.Hooks, bool) {
	var h tiny.Hooks
	l := roomy()
	if o.NoWildcard || o.NoSubscriptionIDs || o.ServerKeepAlive != 0 || o.SessionExpiryMaximum != 0 ||
		o.TopicAliasMaximum != 0 || o.AuthMethod != "" || o.ResponseInformation != "" || o.ConnectTimeout != 0 {
		return l, h, false
	}
	if o.MaxQoS != nil {
		if l.MaxQoS = int(*o.MaxQoS); l.MaxQoS == 0 {
			l.MaxQoS = -1
		}
	}
	if o.NoRetain {
		l.Retained = -1
	}
	if o.MaxPacketSize != 0 {
		l.MaxPacket = int(o.MaxPacketSize)
	}
	if o.ReceiveMaximum != 0 {
		l.Inflight = int(o.ReceiveMaximum)
	}
	h.Authenticate = func(c *tiny.Client, _ []byte) mqtt.ReasonCode {
		switch {
		case o.DenyUser != "" && string(c.Username) == o.DenyUser:
			return mqtt.NotAuthorized
		case o.RefuseEmptyClientID && strings.HasPrefix(string(c.ID), "tiny-"):
			return mqtt.ClientIdentifierNotValid
		}
		return mqtt.Success
	}
	h.Publish = func(_ *tiny.Client, m *tiny.Message) mqtt.ReasonCode {
		if o.DenyPublish != "" && topic.Match(o.DenyPublish, string(m.Topic)) {
			return mqtt.NotAuthorized
		}
		return mqtt.Success
	}
	h.Subscribe = func(_ *tiny.Client, filter []byte, q mqtt.QoS) mqtt.ReasonCode {
		if o.DenySubscribe != "" && string(filter) == o.DenySubscribe {
			return mqtt.NotAuthorized
		}
		return mqtt.ReasonCode(q)
	}
	return l, h, true
}
