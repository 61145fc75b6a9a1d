package main

import (
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/trace"
)

func TestDrawTrace(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.Local)
	refused := trace.Event{Kind: trace.Refused, Client: "b\x1b[1m", User: "joe", Remote: "192.0.2.1:5", Detail: "no such user"}
	refused.Say(mqtt.BadUserNameOrPassword)
	bye := trace.Event{Kind: trace.Disconnected, Client: "sensor"}
	bye.Say(mqtt.KeepAliveTimeout)
	events := []trace.Event{
		{Kind: trace.Connected, Client: "sensor", Remote: "192.0.2.1:4", Detail: "MQTT 5.0 over tls"},
		refused,
		{Kind: trace.In, Client: "sensor", Packet: "PUBLISH", QoS: 1, ID: 7, Retain: true, Dup: true, Topic: "a\nb", Size: 3000, Bytes: 9, Payload: "x\ty"},
		{Kind: trace.Routed, Client: "sensor", Topic: "a", To: "one", Fate: trace.Queued.String()},
		{Kind: trace.Routed, Client: "sensor", Topic: "a", To: "two", Fate: trace.Full.String()},
		{Kind: trace.Lost, Topic: "a", To: "sensor", Fate: trace.Expired.String()},
		{Kind: trace.Out, Client: "sensor", Packet: "SUBACK", ID: 9, Codes: []string{"QoS 1", "not authorized"}, Size: 6},
		bye,
		{Kind: trace.Missed, Count: 12000},
		{Kind: trace.Over, Detail: "its time is over"},
	}
	draw := func(paint bool) string {
		var out strings.Builder
		d := traceDrawing{out: &out, paint: paint}
		d.header(trace.Filter{Client: "sensor", For: 90 * time.Second, Events: 10000})
		for _, e := range events {
			e.Time = at
			d.draw(e)
		}
		d.summary()
		return out.String()
	}
	want := `client "sensor", for 1m30s or 10,000 events; Ctrl-C ends it
03:04:05.678  sensor  +++  connected  from 192.0.2.1:4  MQTT 5.0 over tls
03:04:05.678  "b\x1b[1m"  !!!  refused  bad user name or password (0x86)  user joe  from 192.0.2.1:5  no such user
03:04:05.678  sensor      ->|  PUBLISH      QoS 1  id 7  retain  dup  "a\nb"  3000 bytes  "x\ty"
03:04:05.678  sensor      |->  QoS 0  a  to one  queued
03:04:05.678  sensor      |-x  QoS 0  a  to two  queue full
03:04:05.678  -           |-x  lost  QoS 0  a  to sensor  expired
03:04:05.678  sensor      <-|  SUBACK       id 9  QoS 1  not authorized  6 bytes
03:04:05.678  sensor      ---  disconnected  keep alive timeout (0x8D)
03:04:05.678  -           !!!  missed  12,000 events came too fast to be shown
03:04:05.678  -           ...  over  its time is over
1 packet in, 1 packet out, 1 connect, 1 disconnect, 1 refusal, 3 decisions, 1 not delivered: expired, 1 not delivered: queue full, 12,000 events not shown
`
	if got := draw(false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got := draw(true)
	if strings.Count(got, "\x1b[31m") < 6 || strings.Contains(got, "\x1b[1m") {
		t.Errorf("%q", got)
	}
	if stripped := strings.NewReplacer("\x1b[2m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[34m", "", "\x1b[36m", "", "\x1b[0m", "").Replace(got); stripped != want {
		t.Errorf("colours change the text:\n%s", stripped)
	}
}
