// Package tiny is a whole MQTT broker in memory that is laid out once: for a
// microcontroller, a router, or whoever must know the bill before the start.
//
// It speaks MQTT 3.1, 3.1.1 and 5.0 at QoS 0, 1 and 2.
package tiny
