package trace

import "time"

// A Journey is the way of one message through the broker.
type Journey struct {
	Parent, State string // the W3C trace context it came with (traceparent, tracestate); "" for none

	Client   string    // who published it; "" for the program
	Topic    string    // its name
	QoS      uint8     // as published
	Bytes    int       // of the payload
	Received time.Time // when the bytes it came with had been read
	Routing  time.Time // when it was known who gets it
	Done     time.Time // when the last of them had it in outbox or queue

	// Refused is why it goes nowhere; "" for one that was routed.
	Refused string

	// Stops are its subscribers, the first MaxStops of them; More counts the others.
	Stops []Stop
	More  int
}

// A Stop is one subscriber of a message.
type Stop struct {
	Client string // "" for one inside the program
	Fate   Fate
	At     time.Time
}

// MaxStops is how many subscribers a Journey names.
const MaxStops = 32

// Stop notes a subscriber.
func (j *Journey) Stop(client string, fate Fate, at time.Time) {
	if len(j.Stops) == MaxStops {
		j.More++
		return
	}
	j.Stops = append(j.Stops, Stop{client, fate, at})
}

// A Sampler chooses messages whose journey is to be told. Its methods are
// called by whoever routes a message: they return at once, and call nothing of
// the broker.
type Sampler interface {
	// Sample reports whether to follow a message that came with a trace context,
	// empty if it had none. The slice is valid during the call only.
	Sample(parent []byte) bool

	// Tell takes a journey that is through, to keep.
	Tell(j *Journey)
}
