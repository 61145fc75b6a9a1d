package client

import "github.com/midgemq/midge/mqtt"

// A Carrier takes a trace context across MQTT 5.0 in User Properties, as W3C's
// Trace Context for MQTT has it (traceparent, tracestate). It has the methods
// of OpenTelemetry's TextMapCarrier, and so needs no dependency on it.
type Carrier struct{ Properties *mqtt.Properties }

// Get returns the value under key, "" if there is none.
func (c Carrier) Get(key string) string {
	for _, u := range c.Properties.User {
		if u.Name == key {
			return u.Value
		}
	}
	return ""
}

// Set puts a value in place, in memory of its own: the properties may be shared.
func (c Carrier) Set(key, value string) {
	out := make([]mqtt.UserProperty, 0, len(c.Properties.User)+1)
	for _, u := range c.Properties.User {
		if u.Name != key {
			out = append(out, u)
		}
	}
	c.Properties.User = append(out, mqtt.UserProperty{Name: key, Value: value})
}

// Keys lists the names there are.
func (c Carrier) Keys() []string {
	keys := make([]string, 0, len(c.Properties.User))
	for _, u := range c.Properties.User {
		keys = append(keys, u.Name)
	}
	return keys
}
