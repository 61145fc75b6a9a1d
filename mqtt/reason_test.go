package mqtt_test

import (
	"testing"

	"github.com/midgemq/midge/mqtt"
)

// [MQTT-3.2.2-6, 3.1.1]: what no return code fits closes without CONNACK.
func TestReturnCodes(t *testing.T) {
	for c, want := range map[mqtt.ReasonCode]mqtt.ReturnCode{
		mqtt.Success: mqtt.Accepted, mqtt.UnsupportedProtocolVersion: mqtt.RefusedVersion,
		mqtt.ClientIdentifierNotValid: mqtt.RefusedIdentifier, mqtt.ServerBusy: mqtt.RefusedUnavailable,
		mqtt.BadUserNameOrPassword: mqtt.RefusedCredentials, mqtt.NotAuthorized: mqtt.RefusedNotAuthorized,
		mqtt.MalformedPacket: mqtt.NoReturnCode, mqtt.QoSNotSupported: mqtt.NoReturnCode, 0xFF: mqtt.NoReturnCode,
	} {
		if got := c.ReturnCode(); got != want {
			t.Errorf("%v becomes return code %d, want %d", c, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	named := 0
	for c := range 256 {
		if mqtt.ReasonCode(c).String() != "unknown reason code" {
			named++
		}
	}
	if named != 43 { // table 2-6 of 5.0
		t.Errorf("%d reason codes have a name, 43 exist", named)
	}
	if mqtt.V31.String() != "3.1" || mqtt.V5.String() != "5.0" || mqtt.Version(6).Known() || !mqtt.V311.Known() {
		t.Error("versions")
	}
	if mqtt.QoS(3).Valid() || !mqtt.ExactlyOnce.Valid() {
		t.Error("QoS 3 is forbidden")
	}
}
