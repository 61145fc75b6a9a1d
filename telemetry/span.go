package telemetry

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/trace"
)

// A parent is a W3C trace context.
type parent struct {
	trace   [16]byte
	span    [8]byte
	sampled bool
}

// parseParent reads a traceparent: version, trace, span, flags. ok is false for
// one that the standard has ignored.
func parseParent(b []byte) (p parent, ok bool) {
	const size = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(b) < size || b[2] != '-' || b[35] != '-' || b[52] != '-' || len(b) > size && (b[size] != '-' || string(b[:2]) == "00") {
		return p, false
	}
	var version, flags [1]byte
	for _, part := range []struct{ to, from []byte }{{version[:], b[:2]}, {p.trace[:], b[3:35]}, {p.span[:], b[36:52]}, {flags[:], b[53:55]}} {
		for _, c := range part.from {
			if c >= 'A' && c <= 'F' {
				return p, false // it is to be in small letters
			}
		}
		if _, err := hex.Decode(part.to, part.from); err != nil {
			return p, false
		}
	}
	p.sampled = flags[0]&1 != 0
	return p, version[0] != 0xFF && p.trace != [16]byte{} && p.span != [8]byte{}
}

// How much is kept of what clients choose, in bytes: each span repeats it. A
// state has to be whole; of its 512 one is expected to go on.
const (
	mostName   = 1024
	mostState  = 512
	mostParent = 128
)

// curb cuts what is longer.
func curb(j *trace.Journey) {
	j.Topic, j.Client, j.Parent = clip(j.Topic, mostName), clip(j.Client, mostName), clip(j.Parent, mostParent)
	if len(j.State) > mostState {
		j.State = ""
	}
	for i := range j.Stops {
		j.Stops[i].Client = clip(j.Stops[i].Client, mostName)
	}
}

// clip is the first n bytes of s, at most, without those it was in.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:n]), "")
}

// Kinds of spans and what became of them, as OTLP numbers them.
const (
	kindInternal = 1
	kindProducer = 4
	kindConsumer = 5
	statusError  = 2
)

// flags of a span: sampled, and that its parent is known to be, or not to be,
// somebody else's.
const (
	flagSampled    = 0x01
	flagKnowsWhose = 0x100
	flagForeign    = 0x200
)

// A span is one that is written.
type span struct {
	trace      [16]byte
	id, parent [8]byte
	state      string
	name       string
	kind       uint64
	flags      uint32
	start, end time.Time
	fault      string // what went wrong, if something did
	attributes func(b []byte) []byte
	hasParent  bool
}

func newID() (id [8]byte) {
	for id == [8]byte{} {
		binary.LittleEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

func (s *span) append(b []byte) []byte {
	b = appendBytes(b, 1, s.trace[:])
	b = appendBytes(b, 2, s.id[:])
	b = appendBytes(b, 3, s.state)
	if s.hasParent {
		b = appendBytes(b, 4, s.parent[:])
	}
	b = appendBytes(b, 5, s.name)
	b = appendUint(b, 6, s.kind)
	b = appendFixed64(b, 7, uint64(s.start.UnixNano()))
	b = appendFixed64(b, 8, uint64(s.end.UnixNano()))
	b = s.attributes(b)
	if s.fault != "" {
		b = appendMessage(b, 15, func(b []byte) []byte { return appendUint(appendBytes(b, 2, s.fault), 3, statusError) })
	}
	return appendFixed32(b, 16, s.flags)
}

// attribute is field 9 of a span.
const attribute = 9

// appendJourney appends the spans of a journey, each as a field, and says how
// many there are: it was received; within that, routed; within that, delivered
// to each subscriber.
func appendJourney(b []byte, field uint64, j *trace.Journey) (_ []byte, n int) {
	add := func(s *span) {
		b = appendMessage(b, field, s.append)
		n++
	}
	root := span{
		id: newID(), name: "receive", kind: kindConsumer, flags: flagSampled, start: j.Received, end: j.Done, fault: j.Refused,
		attributes: func(b []byte) []byte {
			b = common(b, "receive", j)
			if j.Client != "" {
				b = appendText(b, attribute, "messaging.client.id", j.Client)
			}
			b = appendInt(b, attribute, "messaging.message.body.size", j.Bytes)
			return appendInt(b, attribute, "mqtt.subscribers", len(j.Stops)+j.More)
		},
	}
	if p, ok := parseParent([]byte(j.Parent)); ok {
		root.trace, root.parent, root.hasParent, root.state = p.trace, p.span, true, j.State
		root.flags |= flagKnowsWhose | flagForeign
	} else {
		binary.LittleEndian.PutUint64(root.trace[:8], rand.Uint64())
		binary.LittleEndian.PutUint64(root.trace[8:], rand.Uint64()|1)
	}
	add(&root)
	if j.Refused != "" {
		return b, n
	}
	within := func(of *span, name string, kind uint64, start, end time.Time) span {
		return span{
			trace: of.trace, id: newID(), parent: of.id, hasParent: true, state: of.state, name: name, kind: kind,
			flags: flagSampled | flagKnowsWhose, start: start, end: end,
		}
	}
	route := within(&root, "route", kindInternal, j.Routing, j.Done)
	route.attributes = func(b []byte) []byte { return common(b, "route", j) }
	add(&route)
	from := j.Routing
	for _, stop := range j.Stops {
		s := within(&route, "deliver", kindProducer, from, stop.At)
		s.attributes = func(b []byte) []byte {
			b = common(b, "deliver", j)
			if stop.Client != "" {
				b = appendText(b, attribute, "messaging.client.id", stop.Client)
			}
			return appendText(b, attribute, "mqtt.fate", stop.Fate.String())
		}
		if stop.Fate.Lost() {
			s.fault = stop.Fate.String()
		}
		add(&s)
		from = stop.At
	}
	return b, n
}

// common are the attributes of each of its spans, under the names that
// OpenTelemetry has for messaging.
func common(b []byte, operation string, j *trace.Journey) []byte {
	b = appendText(b, attribute, "messaging.system", "mqtt")
	b = appendText(b, attribute, "messaging.operation.name", operation)
	b = appendText(b, attribute, "messaging.destination.name", j.Topic)
	return appendInt(b, attribute, "mqtt.qos", int(mqtt.QoS(j.QoS)))
}
