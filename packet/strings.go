package packet

import (
	"bytes"
	"unicode/utf8"

	"github.com/midgemq/midge/mqtt"
)

var (
	errUTF8 = malformed("string is not well-formed UTF-8")
	errNUL  = malformed("string contains U+0000")
)

// A reader walks through the body of a packet. The first failure sticks, so
// that a packet's fields can be read in one go and checked once.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err *Error) {
	if r.err == nil {
		r.err = err
		r.b = nil
	}
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail(errTruncated)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uint16() uint16 {
	if len(r.b) < 2 {
		r.fail(errTruncated)
		return 0
	}
	v := uint16(r.b[0])<<8 | uint16(r.b[1])
	r.b = r.b[2:]
	return v
}

func (r *reader) uint32() uint32 {
	hi := r.uint16()
	return uint32(hi)<<16 | uint32(r.uint16())
}

func (r *reader) varint() int {
	v, n, err := readVarint(r.b)
	switch {
	case err != nil:
		r.fail(err.(*Error))
	case n == 0:
		r.fail(errTruncated)
	default:
		r.b = r.b[n:]
	}
	return v
}

// take returns the next n bytes as a view that cannot be appended to.
func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.fail(errTruncated)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// bytes reads binary data: a length and what it counts.
func (r *reader) bytes() []byte {
	if len(r.b) < 2 {
		r.fail(errTruncated)
		return nil
	}
	n := 2 + int(r.b[0])<<8 + int(r.b[1])
	if len(r.b) < n {
		r.fail(errTruncated)
		return nil
	}
	v := r.b[2:n:n]
	r.b = r.b[n:]
	return v
}

// string reads a UTF-8 encoded string.
func (r *reader) string() []byte {
	s := r.bytes()
	if err := checkString(s); err != nil {
		r.fail(err)
		return nil
	}
	return s
}

// topic reads a Topic Name in one pass. wild is true if it has characters only
// filters may have.
func (r *reader) topic() (s []byte, wild bool) {
	s = r.bytes()
	i := 0
	for ; i+8 <= len(s) && plain(load64(s[i:])); i += 8 {
	}
	for _, c := range s[i:] {
		if c-('+'+1) < utf8.RuneSelf-('+'+1) {
			continue
		}
		if c == '+' || c == '#' {
			wild = true
		} else if c == 0 || c >= utf8.RuneSelf {
			if err := checkString(s); err != nil {
				r.fail(err)
				return nil, false
			}
			return s, hasWildcard(s)
		}
	}
	return s, wild
}

// load64 is one load on most machines; encoding/binary would bring reflect in.
func load64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// plain reports whether eight characters at once are ASCII, and none of them
// U+0000, + or #.
func plain(w uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	plus, hash := w^ones*'+', w^ones*'#'
	return (w|(w-ones)|(plus-ones)|(hash-ones))&highs == 0
}

// id reads a Packet Identifier, which is never 0
// [MQTT-2.2.1-3, 5.0] [MQTT-2.3.1-1, 3.1.1].
func (r *reader) id() mqtt.PacketID {
	v := r.uint16()
	if v == 0 {
		r.fail(errID0)
	}
	return mqtt.PacketID(v)
}

// end is how every Decode ends: nothing may be left.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		return errTrailing
	}
	return r.err
}

var errID0 = malformed("Packet Identifier 0")

// checkString accepts UTF-8 without surrogates and U+0000
// [MQTT-1.5.4-1, 5.0] [MQTT-1.5.4-2, 5.0] [MQTT-1.5.3-1, 3.1.1] [MQTT-1.5.3-2, 3.1.1].
func checkString(s []byte) *Error {
	for i, c := range s {
		if c-1 < utf8.RuneSelf-1 {
			continue
		}
		switch { // rare, and so looked at twice
		case bytes.IndexByte(s[i:], 0) >= 0:
			return errNUL
		case !utf8.Valid(s):
			return errUTF8
		}
		return nil
	}
	return nil
}

// appendString appends a length and s. A string that no length fits is the
// caller's bug.
func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	if len(s) > mqtt.MaxStringLen {
		panic("packet: string longer than 65535 bytes")
	}
	dst = append(dst, byte(len(s)>>8), byte(len(s)))
	return append(dst, s...)
}

func appendUint16(dst []byte, v uint16) []byte { return append(dst, byte(v>>8), byte(v)) }

func appendUint32(dst []byte, v uint32) []byte {
	return append(dst, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// hasWildcard reports whether a Topic Name has characters only filters may have.
func hasWildcard(s []byte) bool {
	for _, c := range s {
		if c == '#' || c == '+' {
			return true
		}
	}
	return false
}
