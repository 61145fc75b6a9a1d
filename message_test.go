package midge_test

import (
	"fmt"
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

// A kept message costs little more than its bytes: it fills what is allocated
// for it.
func TestKeptMessageFillsItsMemory(t *testing.T) {
	w := newWorld(t, midge.Config{SysInterval: -1})
	const n, fixed = 2000, 112
	for _, payload := range []int{8, 40, 64, 100, 180} {
		before := midge.LiveHeap()
		for i := range n {
			w.b.Publish(mqtt.Message{Topic: fmt.Sprintf("fill/%03d/%06d", payload, i), Payload: make([]byte, payload), Retain: true})
		}
		const topic, node = 15, 64 + 16 // a level of the index, and its place in a table
		each, most := (midge.LiveHeap()-before)/n, fixed+topic+payload+node+40
		if each > most {
			t.Errorf("%d bytes for each message of %d, want %d at most", each, payload, most)
		}
	}
}
