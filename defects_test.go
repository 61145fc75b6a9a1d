package midge_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/conform"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// What other brokers were found to get wrong, and the checks of package
// conform that hold us to it. TestConformance runs them; this test holds that
// they are there.
var rivalDefects = map[string][]string{
	"a SUBSCRIBE without option byte crashes the broker":                {"malformed/SUBSCRIBE without option byte"},
	"a filter matches by prefix, and a/# does not match a":              {"topic/wildcards"},
	"a subscriber that stops reading delays the publisher's PUBACK":     {"stall/publisher is not delayed by a subscriber that does not read"},
	"a dropped packet takes the definition of its topic alias along":    {"flow/alias of a dropped packet", "stall/aliases survive dropped messages"},
	"a full queue loses acknowledged messages of a kept session":        {"stall/acknowledged messages reach a slow reader"},
	"CONNACK does not announce the limits in force":                     {"connect/limits announced"},
	"both directions share one identifier space":                        {"qos/identifiers of the two directions"},
	"# and + match $-topics":                                            {"topic/# and + leave $-topics out"},
	"RETAIN is wrong on delivery":                                       {"retain/flag towards established subscriptions", "retain/Retain As Published", "retain/stored for later subscribers"},
	"bad UTF-8 and U+0000 are accepted":                                 {"malformed/bad UTF-8 in topic name", "malformed/U+0000 in topic name"},
	"Receive Maximum is not kept, or not enforced":                      {"flow/client's Receive Maximum", "flow/server's Receive Maximum exceeded"},
	"Maximum Packet Size is not kept":                                   {"flow/message larger than the client takes", "flow/packet larger than the server takes", "flow/answers within the client's maximum"},
	"messages are sent again on a live connection, or without DUP":      {"qos/not sent again while connected", "qos/sent again with DUP and the same identifier", "publish/QoS 0 has DUP 0"},
	"a QoS 2 message is delivered twice":                                {"qos/QoS 2 receiver", "qos/QoS 2 receiver over a reconnect"},
	"reserved bits and flag combinations are not checked":               {"malformed/header flags of SUBSCRIBE", "subscribe/reserved option bits", "connect/will flags without will", "connect/password without user name", "connect/reserved flag"},
	"a topic alias outlives its connection":                             {"flow/alias of an earlier connection"},
	"message expiry is not counted down, or not applied":                {"publish/expiry counts down", "publish/expired before delivery", "retain/expires"},
	"a take-over leaves the old client connected, or tells it nothing":  {"connect/take-over"},
	"keep alive closes too early or never":                              {"keepalive/silence closes", "keepalive/not closed early"},
	"acknowledgements go out of order":                                  {"qos/order of acknowledgements"},
	"Session Present is wrong":                                          {"session/resumed", "session/clean start discards it"},
	"WebSocket frames are taken for packets, any subprotocol will do":   {"websocket/packets across frames", "websocket/several packets in a frame", "websocket/subprotocol"},
	"a will is lost when DISCONNECT is malformed":                       {"will/DISCONNECT that is malformed", "will/DISCONNECT with a failure code"},
	"a will is lost when the session ends before its delay":             {"will/session ends before the delay", "will/session without expiry ends at once"},
	"CONNACK lacks the Authentication Method":                           {"auth/challenge and success"},
	"packets are answered before CONNECT":                               {"connect/packet before CONNECT"},
	"a client's PUBLISH may carry a Subscription Identifier":            {"publish/Subscription Identifier from a client"},
	"overlapping shared subscriptions are merged":                       {"shared/one client in two groups", "shared/two groups and a plain subscription"},
	"the send quota is not renewed on reconnect":                        {"flow/quota begins anew with a connection"},
	"Request Problem Information 0 is ignored":                          {"flow/no problem information"},
	"a stalled subscriber, an expiry or a limit deletes a QoS 2 PUBREL": {"qos/QoS 2 of an expired message is completed"},
}

func TestRivalDefectsHaveChecks(t *testing.T) {
	var names []string
	for _, c := range conform.Checks() {
		names = append(names, c.Name)
	}
	for defect, checks := range rivalDefects {
		for _, name := range checks {
			if !slices.Contains(names, name) {
				t.Errorf("%s: there is no check %q", defect, name)
			}
		}
	}
}

// A shared message goes to a member that is there before one that is away.
func TestSharedPrefersThePresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		keep := func(c *packet.Connect) { c.Properties.SessionExpiryInterval = 1000 }
		away := w.connect("away", keep)
		away.subscribe("$share/g/t", mqtt.AtLeastOnce)
		here := w.connect("here", keep)
		here.subscribe("$share/g/t", mqtt.AtLeastOnce)
		away.nc.Close()
		synctest.Wait()
		for i := range 4 {
			if err := w.b.Publish(mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1}); err != nil {
				t.Fatal(err)
			}
			if m := here.wantPublish(); string(m.Payload) != fmt.Sprint(i) {
				t.Errorf("got %s, want %d", m.Payload, i)
			}
		}
		here.nc.Close()
		synctest.Wait()
		w.b.Publish(mqtt.Message{Topic: "t", Payload: []byte("nobody is there"), QoS: 1})
		queued := func(id string) string {
			p := w.connect(id, keep, func(c *packet.Connect) { c.CleanStart = false })
			p.publish("marker", "", mqtt.AtLeastOnce) // its PUBACK comes behind what waited
			got := ""
			for {
				h, body, err := p.next()
				if err != nil || h.Type == packet.PUBACK {
					return got
				}
				var m packet.Publish
				if m.Decode(p.v, h.Flags, body) == nil && !m.Dup {
					got += string(m.Payload)
				}
			}
		}
		if got := queued("away") + queued("here"); got != "nobody is there" {
			t.Errorf("kept for the members: %q", got)
		}
	})
}
