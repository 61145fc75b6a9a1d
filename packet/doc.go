// Package packet is the wire codec for MQTT 3.1, 3.1.1 and 5.0.
//
// Decoding yields views: every []byte in a decoded packet points into the
// buffer it was decoded from and is worth no more than that buffer. Encoding
// appends to a caller's buffer. Neither allocates, and nothing here reads a
// connection: [ReadHeader] says where a packet ends.
//
// Decoding is strict. A packet that breaks a rule the codec can see (varint
// length, reserved bits, UTF-8, U+0000, property legality, duplicates, zero
// identifiers, trailing bytes) is refused with an [*Error] that carries the
// reason code the standard names for it. Rules that need a connection's state
// (who may send what when) are package link's.
//
// To add a packet field: the struct, Decode, Append and size of that packet's
// file, a line in its round-trip table, a seed in testdata/fuzz.
// To add a property: its constant and row in property.go's table, its field
// in Properties, and the two switches in properties.go.
package packet
