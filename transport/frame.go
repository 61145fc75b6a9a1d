package transport

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// RFC 6455, 5.2 and 11.8.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	maxControl = 125       // payload bytes of a control frame
	maxHeader  = 2 + 8 + 4 // bytes before a payload
	maxReason  = maxControl - 2
)

// WebSocket close codes (RFC 6455, 7.4.1).
const (
	CloseNormal      = 1000
	CloseGoingAway   = 1001
	CloseProtocol    = 1002
	CloseUnsupported = 1003
	CloseNoStatus    = 1005 // the peer closed without saying why; never sent
	CloseInvalid     = 1007
	CloseTooBig      = 1009
)

// A CloseError is the end of a WebSocket other than a normal one.
type CloseError struct {
	Code   int
	Reason string
	Local  bool // this end closed, because the peer broke the rules
}

func (e *CloseError) Error() string {
	who := "peer closed"
	if e.Local {
		who = "peer broke the protocol, closed"
	}
	return fmt.Sprintf("websocket: %s with %d %q", who, e.Code, e.Reason)
}

func violation(code int, reason string) error {
	return &CloseError{Code: code, Reason: reason, Local: true}
}

// A deframer strips WebSocket framing from a byte stream cut anywhere. It
// works in the reader's buffer and holds nothing but a header and a control
// frame: an idle connection costs no buffer, a frame's size no memory.
type deframer struct {
	masked   bool  // the peer is a client and must mask
	maxFrame int64 // payload bytes; <= 0: no limit

	header [maxHeader]byte
	have   int // bytes of header collected
	need   int // bytes of header known to come, 0 before the first

	left    int64 // payload bytes of this frame still to come
	key     [4]byte
	keyPos  int
	message bool // a fragmented message is under way

	control  [maxControl]byte
	ncontrol int
}

func (d *deframer) opcode() byte { return d.header[0] & 0x0f }

// idle reports that the stream may end here without cutting a frame.
func (d *deframer) idle() bool { return d.have == 0 && !d.message }

// feed consumes p and moves the application's bytes to its front; n counts
// them. Control frames go to handle, whose payload is valid during the call.
// After an error the deframer is spent.
func (d *deframer) feed(p []byte, handle func(op byte, payload []byte) error) (n int, err error) {
	for i := 0; i < len(p); {
		if d.have < max(d.need, 2) {
			d.header[d.have] = p[i]
			d.have++
			i++
			if d.have == 2 {
				err = d.start()
			}
			if err == nil && d.have == d.need {
				err = d.sized()
			}
		} else {
			part := p[i:]
			if int64(len(part)) > d.left {
				part = part[:d.left]
			}
			i += len(part)
			d.left -= int64(len(part))
			if d.masked {
				d.keyPos = xorMask(part, d.key, d.keyPos)
			}
			if d.opcode() >= opClose {
				d.ncontrol += copy(d.control[d.ncontrol:], part)
			} else {
				n += copy(p[n:], part)
			}
		}
		if err == nil && d.have == d.need && d.left == 0 {
			err = d.end(handle)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// start judges a frame by its first two bytes, before anything follows.
func (d *deframer) start() error {
	first, second := d.header[0], d.header[1]
	length := second & 0x7f
	switch op := d.opcode(); {
	case first&0x70 != 0:
		return violation(CloseProtocol, "reserved bits set without an extension")
	case second&0x80 != 0 != d.masked:
		return violation(CloseProtocol, "client frames are masked, server frames are not")
	case op == opText:
		// [MQTT-6.0.0-1, 3.1.1] [MQTT-6.0.0-1, 5.0]
		return violation(CloseUnsupported, "MQTT travels in binary frames only")
	case op == opBinary && d.message, op == opContinuation && !d.message:
		return violation(CloseProtocol, "fragments out of order")
	case op > opBinary && op < opClose, op > opPong:
		return violation(CloseProtocol, "unknown opcode")
	case op >= opClose && (first&0x80 == 0 || length > maxControl):
		return violation(CloseProtocol, "control frame fragmented or too long")
	}
	d.need = 2
	switch length {
	case 126:
		d.need += 2
	case 127:
		d.need += 8
	}
	if d.masked {
		d.need += 4
	}
	return nil
}

// sized reads length and key from a complete header.
func (d *deframer) sized() error {
	length, low := uint64(d.header[1]&0x7f), uint64(0)
	rest := d.header[2:d.need]
	switch length {
	case 126:
		length, low, rest = uint64(binary.BigEndian.Uint16(rest)), 126, rest[2:]
	case 127:
		length, low, rest = binary.BigEndian.Uint64(rest), 1<<16, rest[8:]
	}
	switch {
	case length < low || length > 1<<63-1:
		return violation(CloseProtocol, "length not encoded as it must be")
	case d.maxFrame > 0 && length > uint64(d.maxFrame):
		return violation(CloseTooBig, fmt.Sprintf("frames are limited to %d bytes", d.maxFrame))
	}
	copy(d.key[:], rest)
	d.left, d.keyPos, d.ncontrol = int64(length), 0, 0
	return nil
}

// end closes a frame and makes ready for the next.
func (d *deframer) end(handle func(byte, []byte) error) error {
	op, fin := d.opcode(), d.header[0]&0x80 != 0
	d.have, d.need = 0, 0
	if op >= opClose {
		return handle(op, d.control[:d.ncontrol])
	}
	d.message = !fin
	return nil
}

// xorMask masks or unmasks p in place; pos says where in key p starts.
func xorMask(p []byte, key [4]byte, pos int) int {
	var wide [8]byte
	for i := range wide {
		wide[i] = key[(pos+i)&3]
	}
	next := (pos + len(p)) & 3
	w := binary.LittleEndian.Uint64(wide[:])
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^w)
	}
	for i := range p {
		p[i] ^= wide[i]
	}
	return next
}

// appendHeader appends the header of an unfragmented frame; key nil: unmasked.
func appendHeader(b []byte, op byte, length int, key *[4]byte) []byte {
	var mask byte
	if key != nil {
		mask = 0x80
	}
	b = append(b, 0x80|op)
	switch {
	case length < 126:
		b = append(b, mask|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(length))
	}
	if key != nil {
		b = append(b, key[:]...)
	}
	return b
}

// parseClose reads a close frame's payload (RFC 6455, 5.5.1 and 7.4).
func parseClose(p []byte) (code int, reason string, err error) {
	if len(p) == 0 {
		return CloseNoStatus, "", nil
	}
	if len(p) == 1 {
		return 0, "", violation(CloseProtocol, "half a close code")
	}
	code = int(binary.BigEndian.Uint16(p))
	defined := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006
	if !defined && (code < 3000 || code > 4999) {
		return 0, "", violation(CloseProtocol, "close code out of range")
	}
	if !utf8.Valid(p[2:]) {
		return 0, "", violation(CloseInvalid, "close reason is no UTF-8")
	}
	return code, string(p[2:]), nil
}
