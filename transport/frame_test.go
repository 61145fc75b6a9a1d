package transport

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

var testKey = [4]byte{1, 2, 3, 4}

// clientFrame builds any frame, wrong ones included: first is the frame's
// first byte as sent.
func clientFrame(first byte, payload string) []byte {
	b := appendHeader(nil, 0, len(payload), &testKey)
	b[0] = first
	n := len(b)
	b = append(b, payload...)
	xorMask(b[n:], testKey, 0)
	return b
}

// feedIn cuts stream into pieces of at most size bytes.
func feedIn(d deframer, stream []byte, size int) (data, control []byte, err error) {
	for piece := range slices.Chunk(bytes.Clone(stream), size) {
		n, err := d.feed(piece, func(op byte, p []byte) error {
			control = append(append(control, op), p...)
			if op == opClose {
				return io.EOF
			}
			return nil
		})
		data = append(data, piece[:n]...)
		if err != nil {
			return data, control, err
		}
	}
	return data, control, nil
}

// A frame may hold several packets and a packet span frames, and neither is
// tied to how the network cuts the bytes [MQTT-6.0.0-2, 3.1.1] [MQTT-6.0.0-2, 5.0].
func TestDeframeAnyCut(t *testing.T) {
	long, huge := strings.Repeat("long", 50), strings.Repeat("huge", 20000)
	stream := slices.Concat(
		clientFrame(0x82, "whole"), clientFrame(0x82, ""),
		clientFrame(0x02, "frag"), clientFrame(0x89, "ping"), clientFrame(0x00, ""), clientFrame(0x80, "ment"),
		clientFrame(0x82, long), clientFrame(0x8A, ""), clientFrame(0x82, huge), clientFrame(0x88, "\x03\xe8bye"),
		[]byte("whatever follows a close"),
	)
	want, wantControl := "wholefragment"+long+huge, "\x09ping\x0a\x08\x03\xe8bye"
	for _, size := range []int{1, 2, 3, 7, 13, 125, 4096, len(stream)} {
		data, control, err := feedIn(deframer{masked: true}, stream, size)
		if err != io.EOF || string(data) != want || string(control) != wantControl {
			t.Errorf("pieces of %d: %d bytes of data, control %q, %v", size, len(data), control, err)
		}
	}
}

func TestDeframeRefuses(t *testing.T) {
	unmasked := append(appendHeader(nil, opBinary, 3, nil), "abc"...)
	for _, tt := range []struct {
		name   string
		stream []byte
		code   int
	}{
		// [MQTT-6.0.0-1, 3.1.1] [MQTT-6.0.0-1, 5.0]
		{"text", clientFrame(0x81, "text"), CloseUnsupported},
		{"start of a text", clientFrame(0x01, "te"), CloseUnsupported},
		{"reserved bit", clientFrame(0xC2, "x"), CloseProtocol},
		{"reserved opcode", clientFrame(0x83, "x"), CloseProtocol},
		{"reserved control opcode", clientFrame(0x8B, "x"), CloseProtocol},
		{"unmasked", unmasked, CloseProtocol},
		{"continuation of nothing", clientFrame(0x80, "x"), CloseProtocol},
		{"message within a message", slices.Concat(clientFrame(0x02, "x"), clientFrame(0x82, "y")), CloseProtocol},
		{"fragmented ping", clientFrame(0x09, "x"), CloseProtocol},
		{"long ping", clientFrame(0x89, strings.Repeat("x", 126)), CloseProtocol},
		{"16-bit length of 125", []byte{0x82, 0xFE, 0, 125, 0, 0, 0, 0}, CloseProtocol},
		{"64-bit length of 65535", []byte{0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0}, CloseProtocol},
		{"negative length", []byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, CloseProtocol},
		{"oversize", clientFrame(0x82, strings.Repeat("x", 1001)), CloseTooBig},
	} {
		for _, size := range []int{1, 4096} {
			_, _, err := feedIn(deframer{masked: true, maxFrame: 1000}, tt.stream, size)
			var ce *CloseError
			if !errors.As(err, &ce) || ce.Code != tt.code || !ce.Local {
				t.Errorf("%s in pieces of %d: %v, want %d", tt.name, size, err, tt.code)
			}
		}
	}
	if data, _, err := feedIn(deframer{masked: true, maxFrame: 1000}, clientFrame(0x82, strings.Repeat("x", 1000)), 64); len(data) != 1000 || err != nil {
		t.Errorf("a frame of the limit: %d bytes, %v", len(data), err)
	}
	if _, _, err := feedIn(deframer{}, clientFrame(0x82, "x"), 64); err == nil {
		t.Error("a client took a masked frame")
	}
}

func TestParseClose(t *testing.T) {
	for payload, want := range map[string]int{
		"": CloseNoStatus, "\x03\xe8": 1000, "\x03\xe9going": 1001, "\x0b\xb8": 3000, "\x13\x87": 4999,
		"\x03": -CloseProtocol, "\x03\xec": -CloseProtocol, "\x03\xed": -CloseProtocol, "\x03\xee": -CloseProtocol,
		"\x03\xe7": -CloseProtocol, "\x07\xd0": -CloseProtocol, "\x13\x88": -CloseProtocol, "\x03\xe8\xff": -CloseInvalid,
	} {
		got, _, err := parseClose([]byte(payload))
		var ce *CloseError
		if errors.As(err, &ce) {
			got = -ce.Code
		}
		if got != want {
			t.Errorf("%q = %d, want %d", payload, got, want)
		}
	}
}

func TestXorMaskResumes(t *testing.T) {
	plain := []byte("The quick brown fox jumps over the lazy dog")
	for cut := range plain {
		p := bytes.Clone(plain)
		pos := xorMask(p[:cut], testKey, 0)
		xorMask(p[cut:], testKey, pos)
		for i := range p {
			if p[i] != plain[i]^testKey[i&3] {
				t.Fatalf("cut at %d: byte %d is wrong", cut, i)
			}
		}
	}
}

func TestDeframeAllocatesNothing(t *testing.T) {
	stream := slices.Concat(clientFrame(0x82, "publish"), clientFrame(0x89, "ping"))
	buf := make([]byte, len(stream))
	d := deframer{masked: true}
	handle := func(byte, []byte) error { return nil }
	if n := testing.AllocsPerRun(100, func() {
		copy(buf, stream)
		d.feed(buf, handle)
	}); n != 0 {
		t.Errorf("%v allocations a read", n)
	}
}
