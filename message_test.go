package midge_test

import (
	"strings"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// What no packet can hold is an error of Publish, not a panic in it and not a
// packet that subscribers refuse.
func TestPublishChecksItsMessage(t *testing.T) {
	w := newWorld(t, midge.Config{})
	long := strings.Repeat("x", 65536)
	user := func(name, value string) mqtt.Properties {
		return mqtt.Properties{User: []mqtt.UserProperty{{Name: name, Value: value}}}
	}
	for name, m := range map[string]mqtt.Message{
		"no topic":             {},
		"wildcard":             {Topic: "a/#"},
		"QoS":                  {Topic: "t", QoS: 3},
		"content type, length": {Topic: "t", Properties: mqtt.Properties{ContentType: long}},
		"content type, UTF-8":  {Topic: "t", Properties: mqtt.Properties{ContentType: "\xff"}},
		"content type, U+0000": {Topic: "t", Properties: mqtt.Properties{ContentType: "a\x00"}},
		"response topic":       {Topic: "t", Properties: mqtt.Properties{ResponseTopic: "a/+"}},
		"correlation data":     {Topic: "t", Properties: mqtt.Properties{CorrelationData: []byte(long)}},
		"user property, name":  {Topic: "t", Properties: user(long, "")},
		"user property, value": {Topic: "t", Properties: user("", "\xff")},
		"payload":              {Topic: "t", Payload: make([]byte, mqtt.MaxRemainingLength+1)},
		"payload and topic":    {Topic: "t", Payload: make([]byte, mqtt.MaxRemainingLength-3)},
	} {
		if err := w.b.Publish(m); err == nil {
			t.Errorf("%s: published", name)
		}
	}
	if err := w.b.Publish(mqtt.Message{Topic: "t", Properties: mqtt.Properties{ContentType: long[1:], ResponseTopic: "t"}}); err != nil {
		t.Error(err)
	}
}
