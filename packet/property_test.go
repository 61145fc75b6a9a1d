package packet

import (
	"errors"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

// table24 is table 2-4 of 5.0, by property: who may carry it. W is the Will.
var table24 = map[PropertyID]string{
	0x01: "PUBLISH W", 0x02: "PUBLISH W", 0x03: "PUBLISH W", 0x08: "PUBLISH W", 0x09: "PUBLISH W",
	0x0B: "PUBLISH SUBSCRIBE", 0x11: "CONNECT CONNACK DISCONNECT", 0x12: "CONNACK", 0x13: "CONNACK",
	0x15: "CONNECT CONNACK AUTH", 0x16: "CONNECT CONNACK AUTH", 0x17: "CONNECT", 0x18: "W", 0x19: "CONNECT",
	0x1A: "CONNACK", 0x1C: "CONNACK DISCONNECT",
	0x1F: "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH",
	0x21: "CONNECT CONNACK", 0x22: "CONNECT CONNACK", 0x23: "PUBLISH", 0x24: "CONNACK", 0x25: "CONNACK",
	0x26: "CONNECT CONNACK PUBLISH W PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH",
	0x27: "CONNECT CONNACK", 0x28: "CONNACK", 0x29: "CONNACK", 0x2A: "CONNACK",
}

// wire is each property with a value anything may have.
func wire(id PropertyID) []byte {
	switch id.kind() {
	case kindByte:
		return []byte{byte(id), 1}
	case kindUint16:
		return []byte{byte(id), 0, 1}
	case kindUint32:
		return []byte{byte(id), 0, 0, 0, 1}
	case kindVarint:
		return []byte{byte(id), 1}
	case kindPair:
		return []byte{byte(id), 0, 1, 'k', 0, 1, 'v'}
	}
	return []byte{byte(id), 0, 1, 's'}
}

func section(props ...[]byte) []byte {
	var b []byte
	for _, p := range props {
		b = append(b, p...)
	}
	return append(AppendVarint(nil, len(b)), b...)
}

func readSection(t Type, b []byte) (Properties, error) {
	var p Properties
	r := reader{b: b}
	p.read(&r, t)
	return p, r.end()
}

func wantCode(t *testing.T, what string, err error, want mqtt.ReasonCode) {
	t.Helper()
	var fault *Error
	if !errors.As(err, &fault) || fault.Code != want {
		t.Errorf("%s: got %v, want code 0x%02X", what, err, byte(want))
	}
}

// [X5-2.2.2.2-a]: 27 properties in 14 packets and the Will.
func TestPropertyLegality(t *testing.T) {
	names := map[Type]string{will: "W"}
	for ty := CONNECT; ty <= AUTH; ty++ {
		names[ty] = ty.String()
	}
	if len(table24) != 27 || len(ids) != 27 {
		t.Fatalf("%d properties in the table, %d known, want 27", len(table24), len(ids))
	}
	for id, carriers := range table24 {
		for ty, name := range names {
			b := section(wire(id))
			if id == PropAuthenticationData {
				b = section(wire(PropAuthenticationMethod), wire(id))
			}
			_, err := readSection(ty, b)
			if allowed := contains(carriers, name); allowed && err != nil {
				t.Errorf("0x%02X in %s: %v", byte(id), name, err)
			} else if !allowed {
				if err == nil {
					t.Errorf("0x%02X in %s is accepted", byte(id), name)
				} else {
					wantCode(t, name, err, mqtt.MalformedPacket)
				}
			}
		}
	}
}

func contains(list, name string) bool {
	for len(list) > 0 {
		word, rest := list, ""
		for i := range list {
			if list[i] == ' ' {
				word, rest = list[:i], list[i+1:]
				break
			}
		}
		if word == name {
			return true
		}
		list = rest
	}
	return false
}

// [X5-3.1.2.11.2-dup] and its like: once each, but for two exceptions.
func TestPropertiesTwice(t *testing.T) {
	for id, carriers := range table24 {
		for ty := will; ty <= AUTH; ty++ {
			name := ty.String()
			if ty == will {
				name = "W"
			}
			if !contains(carriers, name) {
				continue
			}
			_, err := readSection(ty, section(wire(PropUserProperty)[:0], wire(id), wire(id)))
			repeats := id == PropUserProperty || (id == PropSubscriptionIdentifier && ty == PUBLISH)
			switch {
			case repeats && err != nil:
				t.Errorf("0x%02X twice in %s: %v", byte(id), name, err)
			case !repeats:
				wantCode(t, name, err, mqtt.ProtocolError)
			}
		}
	}
}

func TestPropertyValues(t *testing.T) {
	for what, c := range map[string]struct {
		in   Type
		b    []byte
		code mqtt.ReasonCode
	}{
		"Receive Maximum 0":               {CONNECT, section([]byte{0x21, 0, 0}), mqtt.ProtocolError},
		"Maximum Packet Size 0":           {CONNECT, section([]byte{0x27, 0, 0, 0, 0}), mqtt.ProtocolError},
		"Request Problem Information 2":   {CONNECT, section([]byte{0x17, 2}), mqtt.ProtocolError},
		"Maximum QoS 2":                   {CONNACK, section([]byte{0x24, 2}), mqtt.ProtocolError},
		"Topic Alias 0":                   {PUBLISH, section([]byte{0x23, 0, 0}), mqtt.TopicAliasInvalid},
		"Subscription Identifier 0":       {SUBSCRIBE, section([]byte{0x0B, 0}), mqtt.ProtocolError},
		"Authentication Data alone":       {CONNECT, section([]byte{0x16, 0, 1, 'x'}), mqtt.ProtocolError},
		"Response Topic with a wildcard":  {PUBLISH, section([]byte{0x08, 0, 1, '#'}), mqtt.ProtocolError},
		"Response Topic of nothing":       {PUBLISH, section([]byte{0x08, 0, 0}), mqtt.ProtocolError},
		"U+0000 in a string":              {PUBLISH, section([]byte{0x03, 0, 1, 0}), mqtt.MalformedPacket},
		"a surrogate in a user property":  {PUBLISH, section([]byte{0x26, 0, 3, 0xED, 0xA0, 0x80, 0, 0}), mqtt.MalformedPacket},
		"a value cut short":               {PUBLISH, section([]byte{0x02, 0, 0, 0}), mqtt.MalformedPacket},
		"a length past the packet":        {PUBLISH, []byte{9, 0x01, 1}, mqtt.MalformedPacket},
		"a length in a longer form":       {PUBLISH, []byte{0x80, 0x00}, mqtt.MalformedPacket},
		"a length of five bytes":          {PUBLISH, []byte{0xFF, 0xFF, 0xFF, 0xFF, 1}, mqtt.MalformedPacket},
		"an identifier nobody defined":    {PUBLISH, section([]byte{0x7E, 0}), mqtt.MalformedPacket},
		"an identifier of two bytes":      {PUBLISH, section([]byte{0x8B, 0x30, 1}), mqtt.MalformedPacket},
		"an identifier in a longer form":  {PUBLISH, section([]byte{0x81, 0x00, 1}), mqtt.MalformedPacket},
		"no property section, not even 0": {PUBLISH, nil, mqtt.MalformedPacket},
	} {
		_, err := readSection(c.in, c.b)
		wantCode(t, what, err, c.code)
	}
}

func TestUserPropertiesKeepTheirOrder(t *testing.T) {
	in := Properties{Users: UserProperties(nil).Add("b", "1").Add("a", "2").Add("b", "")}
	in.ContentType = []byte("c") // stands in front of them on the wire
	out, err := readSection(PUBLISH, in.append(nil))
	if err != nil || out.Users.Len() != 3 {
		t.Fatal(out.Users.Len(), err)
	}
	got := ""
	for name, value := range out.Users.All() {
		got += string(name) + "=" + string(value) + " "
	}
	if got != "b=1 a=2 b= " {
		t.Errorf("got %q", got)
	}
}

func TestSubscriptionIDs(t *testing.T) {
	b := section([]byte{0x0B, 1}, wire(PropContentType), []byte{0x0B, 0xFF, 0xFF, 0xFF, 0x7F})
	p, err := readSection(PUBLISH, b)
	if err != nil {
		t.Fatal(err)
	}
	var got []uint32
	for id := range p.IDs.All() {
		got = append(got, id)
	}
	if len(got) != 2 || got[0] != 1 || got[1] != mqtt.MaxSubscriptionID || p.SubscriptionIdentifier != 1 {
		t.Errorf("got %v, first %d", got, p.SubscriptionIdentifier)
	}
}

// What a program attaches to a message comes back out of the wire form.
func TestPublicProperties(t *testing.T) {
	in := mqtt.Properties{
		PayloadUTF8: true, ContentType: "c", ResponseTopic: "r", CorrelationData: []byte{0, 1},
		User: []mqtt.UserProperty{{Name: "k", Value: "v"}, {Name: "k", Value: "w"}},
	}
	out := Public(AppendPublic(nil, &in))
	if out.PayloadUTF8 != in.PayloadUTF8 || out.ContentType != in.ContentType || out.ResponseTopic != in.ResponseTopic ||
		string(out.CorrelationData) != string(in.CorrelationData) || len(out.User) != 2 || out.User[1] != in.User[1] {
		t.Errorf("got %+v, want %+v", out, in)
	}
}

// The eight-at-once look at a Topic Name sees what the slow one sees.
func TestTopicNamesAtAnyPlace(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			name := []byte("abcdefgh/jklmnopqrst")
			name[at] = byte(c)
			r := reader{b: appendString(nil, name)}
			s, wild := r.topic()
			if want := checkString(name); want != nil {
				if r.err != want || s != nil {
					t.Errorf("%q: %v, want %v", name, r.err, want)
				}
			} else if r.err != nil || wild != hasWildcard(name) || string(s) != string(name) {
				t.Errorf("%q: %q wild %v, %v", name, s, wild, r.err)
			}
		}
	}
}
