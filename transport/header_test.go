package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// v2 is a header of version 2; command is 0x20 for LOCAL, 0x21 for PROXY.
func v2(command, family byte, addresses []byte, tlvs ...[]byte) []byte {
	body := append(bytes.Clone(addresses), bytes.Join(tlvs, nil)...)
	b := append([]byte(v2Signature), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

func tlv(kind byte, value ...byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value))), value...)
}

var (
	fourTCP = []byte{192, 0, 2, 1, 198, 51, 100, 1, 0xDC, 0x04, 0x07, 0x5B}
	sixTCP  = append(append(netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("2001:db8::2").AsSlice()...), 0xDC, 0x04, 0x07, 0x5B)
)

// summed fills the checksum, the last TLV of a header, in.
func summed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// An IPv6 address may hold one of IPv4, which is what it is.
func TestProxyHeader(t *testing.T) {
	mapped := append(netip.MustParseAddr("::ffff:192.0.2.1").AsSlice(), sixTCP[16:]...)
	for name, c := range map[string]struct {
		header string
		source string // "": nobody's
		tls    bool
	}{
		"v1":               {header: "PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n", source: "192.0.2.1:56324"},
		"v1, shortest":     {header: "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n", source: "1.1.1.1:3"},
		"v1, IPv6":         {header: "PROXY TCP6 2001:db8::1 2001:db8::2 56324 1883\r\n", source: "[2001:db8::1]:56324"},
		"v1, shortest six": {header: "PROXY TCP6 :: :: 3 4\r\n", source: "[::]:3"},
		"v1, unknown":      {header: "PROXY UNKNOWN\r\n"},
		"v1, unknown long": {header: "PROXY UNKNOWN " + strings.Repeat("f", v1Longest-16) + "\r\n"},
		"v2":               {header: string(v2(0x21, 0x11, fourTCP)), source: "192.0.2.1:56324"},
		"v2, IPv6":         {header: string(v2(0x21, 0x21, sixTCP)), source: "[2001:db8::1]:56324"},
		"v2, 4in6":         {header: string(v2(0x21, 0x21, mapped)), source: "192.0.2.1:56324"},
		"v2, unix":         {header: string(v2(0x21, 0x31, make([]byte, 216)))},
		"v2, unspecified":  {header: string(v2(0x21, 0x00, nil, tlv(4, 1, 2, 3)))},
		"v2, local":        {header: string(v2(0x20, 0x00, nil))},
		"v2, local of any": {header: string(v2(0x20, 0x77, fourTCP))},
		"v2, local, TCP":   {header: string(v2(0x20, 0x11, fourTCP))},
		"v2, TLS":          {header: string(v2(0x21, 0x11, fourTCP, tlv(0xEA, 9), tlv(tlvSSL, sslClient, 0, 0, 0, 0))), source: "192.0.2.1:56324", tls: true},
		"v2, no TLS":       {header: string(v2(0x21, 0x11, fourTCP, tlv(tlvSSL, 0, 0, 0, 0, 0))), source: "192.0.2.1:56324"},
		"v2, checksum":     {header: string(summed(v2(0x21, 0x11, fourTCP, tlv(tlvCRC32C, 0, 0, 0, 0)))), source: "192.0.2.1:56324"},
	} {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole":       strings.NewReader(c.header + "\x10rest"),
				"bit for bit": iotest.OneByteReader(strings.NewReader(c.header + "\x10rest")),
			} {
				h, err := readProxyHeader(r)
				if err != nil {
					t.Fatal(how, err)
				}
				if h.source.IsValid() != (c.source != "") || c.source != "" && h.source.String() != c.source || h.tls != c.tls {
					t.Errorf("%s: %+v", how, h)
				}
				if rest, _ := io.ReadAll(r); string(rest) != "\x10rest" {
					t.Errorf("%s: leaves %q", how, rest)
				}
			}
		})
	}
}

func TestBadProxyHeader(t *testing.T) {
	sum := summed(v2(0x21, 0x11, fourTCP, tlv(tlvCRC32C, 0, 0, 0, 0)))
	sum[16]++
	for name, c := range map[string]struct {
		header string
		err    error
	}{
		"MQTT":           {"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", errNoHeader},
		"nothing":        {"", io.EOF},
		"a bit":          {"PROXY TCP4 1", io.EOF},
		"short":          {"PROXY TCP4 192.0.2.1 198.51.1", io.ErrUnexpectedEOF},
		"UDP":            {"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n", errBadHeader},
		"four in six":    {"PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n", errBadHeader},
		"six in four":    {"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", errBadHeader},
		"a zone":         {"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n", errBadHeader},
		"bad port":       {"PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n", errBadHeader},
		"zeros":          {"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n", errBadHeader},
		"signed":         {"PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n", errBadHeader},
		"one too many":   {"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", errBadHeader},
		"two blanks":     {"PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n", errBadHeader},
		"newline alone":  {"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\nxxxx", errBadHeader},
		"no end":         {"PROXY UNKNOWN" + strings.Repeat("x", v1Longest), errBadHeader},
		"early end":      {"PROXY TCP4\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxx", errBadHeader},
		"version 3":      {string(v2(0x31, 0x11, fourTCP)), errBadHeader},
		"command 2":      {string(v2(0x22, 0x11, fourTCP)), errBadHeader},
		"datagrams":      {string(v2(0x21, 0x12, fourTCP)), errBadHeader},
		"too short":      {string(v2(0x21, 0x21, fourTCP)), errBadHeader},
		"bad sum":        {string(sum), errHeaderCRC},
		"sum of 3":       {string(v2(0x21, 0x11, fourTCP, tlv(tlvCRC32C, 1, 2, 3))), errBadHeader},
		"TLS of 1":       {string(v2(0x21, 0x11, fourTCP, tlv(tlvSSL, 1))), errBadHeader},
		"TLV cut":        {string(v2(0x21, 0x11, fourTCP, tlv(5, 1, 2)[:4])), errBadHeader},
		"TLV's head cut": {string(v2(0x21, 0x11, fourTCP, []byte{5, 0})), errBadHeader},
		"v2 cut":         {string(v2(0x21, 0x11, fourTCP)[:20]), io.ErrUnexpectedEOF},
	} {
		if h, err := readProxyHeader(strings.NewReader(c.header)); !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v; want %v", name, h, err, c.err)
		}
	}
}

// FuzzProxyHeader: what is read is the same however it comes, and is never more
// than the header; an address that is found is one.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\nrest"))
	f.Add([]byte("PROXY TCP6 :: ::1 3 4\r\n"))
	f.Add([]byte("PROXY UNKNOWN x\r\nrest"))
	f.Add(v2(0x21, 0x11, fourTCP, tlv(tlvSSL, 1, 0, 0, 0, 0)))
	f.Add(v2(0x21, 0x21, sixTCP))
	f.Add(v2(0x20, 0, nil))
	f.Add(summed(v2(0x21, 0x11, fourTCP, tlv(tlvCRC32C, 0, 0, 0, 0))))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := bytes.NewReader(b)
		h, err := readProxyHeader(whole)
		slow := bytes.NewReader(b)
		g, err2 := readProxyHeader(iotest.OneByteReader(slow))
		if h != g || (err == nil) != (err2 == nil) || whole.Len() != slow.Len() {
			t.Errorf("%+v, %v, %d left; byte by byte %+v, %v, %d left", h, err, whole.Len(), g, err2, slow.Len())
		}
		if err != nil {
			return
		}
		header := b[:len(b)-whole.Len()]
		if h.source.IsValid() && h.source.Addr().Is4In6() {
			t.Errorf("%v", h.source)
		}
		if bytes.HasPrefix(header, []byte("PROXY ")) != bytes.HasSuffix(header, []byte("\r\n")) && !bytes.HasPrefix(header, []byte(v2Signature)) {
			t.Errorf("took %q", header)
		}
		// Nothing shorter is a header.
		if _, err := readProxyHeader(bytes.NewReader(header[:len(header)-1])); err == nil {
			t.Errorf("%q is one, and so it is without its end", header)
		}
	})
}
