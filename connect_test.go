package midge_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// MQTT 3.1 has identifiers of 1 to 23 characters, which are not bytes.
func TestIdentifiersOf31(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		for id, want := range map[string]mqtt.ReturnCode{
			strings.Repeat("\u00fc", 23): mqtt.Accepted,
			strings.Repeat("\u00fc", 24): mqtt.RefusedIdentifier,
			strings.Repeat("x", 24):      mqtt.RefusedIdentifier,
		} {
			p := w.dial()
			p.write((&packet.Connect{Version: mqtt.V31, CleanStart: true, ClientID: []byte(id)}).Append(nil))
			var k packet.Connack
			if k.Decode(mqtt.V31, p.want(packet.CONNACK)); k.Return != want {
				t.Errorf("%s: CONNACK %v, want %v", id, k.Return, want)
			}
		}
	})
}
