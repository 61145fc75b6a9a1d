package packet_test

import (
	"testing"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// Carries knows of every packet and every code what the packet's decoder does.
func TestCarriesAsDecoded(t *testing.T) {
	for c := range 256 {
		code := mqtt.ReasonCode(c)
		ack := func(typ packet.Type) error {
			return new(packet.Ack).Decode(mqtt.V5, typ, []byte{0, 1, byte(c)})
		}
		suback := func(typ packet.Type) error {
			return new(packet.Suback).Decode(mqtt.V5, typ, []byte{0, 1, 0, byte(c)})
		}
		for typ, err := range map[packet.Type]error{
			packet.CONNACK: new(packet.Connack).Decode(mqtt.V5, []byte{0, byte(c), 0}),
			packet.PUBACK:  ack(packet.PUBACK), packet.PUBREC: ack(packet.PUBREC),
			packet.PUBREL: ack(packet.PUBREL), packet.PUBCOMP: ack(packet.PUBCOMP),
			packet.SUBACK: suback(packet.SUBACK), packet.UNSUBACK: suback(packet.UNSUBACK),
			packet.DISCONNECT: new(packet.Disconnect).Decode(mqtt.V5, []byte{byte(c)}),
			packet.PUBLISH:    packet.ErrShort, // has none
		} {
			if packet.Carries(typ, code) != (err == nil) {
				t.Errorf("%v 0x%02X: Carries says %v, its decoder %v", typ, c, packet.Carries(typ, code), err)
			}
		}
	}
}
