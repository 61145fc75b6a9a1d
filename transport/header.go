package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// A proxyHeader is what a proxy says of the connection it stands for (HAProxy's
// PROXY protocol, versions 1 and 2).
type proxyHeader struct {
	source netip.AddrPort // invalid: the proxy speaks for itself, or does not know
	local  bool           // it speaks for itself; version 2 alone says so
	tls    bool           // the client came over TLS; version 2 alone says so
}

const (
	v2Signature = "\r\n\r\n\x00\r\nQUIT\n"
	v1Longest   = 107 // bytes, with the line end
	headerFirst = 12  // bytes that every header has
)

// Types of what follows the addresses in version 2.
const (
	tlvCRC32C = 0x03
	tlvSSL    = 0x20

	sslClient = 0x01 // of tlvSSL's bits: the client came over TLS
)

var (
	errNoHeader  = errors.New("it does not begin with a PROXY header")
	errBadHeader = errors.New("the PROXY header is malformed")
	errHeaderCRC = errors.New("the PROXY header's checksum is wrong")
)

// readProxyHeader reads a header, and not one byte more.
func readProxyHeader(r io.Reader) (h proxyHeader, err error) {
	first := make([]byte, headerFirst, v1Longest)
	if _, err := io.ReadFull(r, first); err != nil {
		return h, fmt.Errorf("no PROXY header came: %w", err)
	}
	switch {
	case string(first) == v2Signature:
		return readV2(r, first)
	case bytes.HasPrefix(first, []byte("PROXY ")):
		line, err := readV1(r, first)
		if err != nil {
			return h, err
		}
		return parseV1(line)
	}
	return h, errNoHeader
}

// readV1 reads to the end of the line. What comes behind it is not the proxy's:
// so few bytes are read at once as there have to be.
func readV1(r io.Reader, line []byte) (string, error) {
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		least := 2
		if line[len(line)-1] == '\r' {
			least = 1
		} else if fields := bytes.Count(line, []byte(" ")); line[6] == 'T' && fields < 5 {
			least = 2*(5-fields) + 2
		}
		if len(line)+least > v1Longest {
			return "", errBadHeader
		}
		line = line[:len(line)+least]
		if _, err := io.ReadFull(r, line[len(line)-least:]); err != nil {
			return "", fmt.Errorf("the PROXY header ends early: %w", err)
		}
		if i := bytes.IndexByte(line, '\n'); i >= 0 && i < len(line)-1 {
			return "", errBadHeader // its line was shorter than it can be
		}
	}
	return string(line[:len(line)-2]), nil
}

// parseV1 reads "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443".
func parseV1(line string) (h proxyHeader, err error) {
	f := strings.Split(line, " ")
	if len(f) >= 2 && f[1] == "UNKNOWN" {
		return h, nil // whatever follows
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return h, errBadHeader
	}
	var ports [2]uint16
	for i, text := range f[2:4] {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.Is4() != (f[1] == "TCP4") {
			return h, errBadHeader
		}
		n, err := strconv.ParseUint(f[4+i], 10, 16)
		if err != nil || f[4+i] != strconv.FormatUint(n, 10) {
			return h, errBadHeader
		}
		ports[i] = uint16(n)
		if i == 0 {
			h.source = netip.AddrPortFrom(a.Unmap(), 0)
		}
	}
	h.source = netip.AddrPortFrom(h.source.Addr(), ports[0])
	return h, nil
}

// readV2 reads what follows the signature.
func readV2(r io.Reader, first []byte) (h proxyHeader, err error) {
	head := append(first, 0, 0, 0, 0)
	if _, err := io.ReadFull(r, head[headerFirst:]); err != nil {
		return h, fmt.Errorf("the PROXY header ends early: %w", err)
	}
	all := make([]byte, len(head)+int(binary.BigEndian.Uint16(head[14:])))
	copy(all, head)
	if _, err := io.ReadFull(r, all[len(head):]); err != nil {
		return h, fmt.Errorf("the PROXY header ends early: %w", err)
	}
	return parseV2(all)
}

// parseV2 reads a whole header.
func parseV2(all []byte) (h proxyHeader, err error) {
	command, family, body := all[12], all[13], all[16:]
	h.local = command == 0x20
	if command != 0x20 && command != 0x21 { // version 2, LOCAL or PROXY
		return h, errBadHeader
	}
	size, known := map[byte]int{0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}[family] // unspecified; TCP over IPv4, IPv6; unix stream
	switch {
	case h.local && (!known || len(body) < size):
		return h, nil // to be skipped, whatever it is
	case !known || len(body) < size:
		return h, errBadHeader
	}
	addresses, rest := body[:size], body[size:]
	if err := h.parseTLVs(all, rest); err != nil {
		return h, err
	}
	if h.local {
		return h, nil
	}
	switch family {
	case 0x11:
		a, _ := netip.AddrFromSlice(addresses[:4])
		h.source = netip.AddrPortFrom(a, binary.BigEndian.Uint16(addresses[8:]))
	case 0x21:
		a, _ := netip.AddrFromSlice(addresses[:16])
		h.source = netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(addresses[32:]))
	}
	return h, nil
}

// parseTLVs looks at what follows the addresses; all is the whole header, which
// a checksum is of.
func (h *proxyHeader) parseTLVs(all, rest []byte) error {
	for len(rest) > 0 {
		if len(rest) < 3 {
			return errBadHeader
		}
		kind, n := rest[0], int(binary.BigEndian.Uint16(rest[1:]))
		if len(rest) < 3+n {
			return errBadHeader
		}
		value := rest[3 : 3+n]
		switch {
		case kind == tlvCRC32C && n != 4, kind == tlvSSL && n < 5:
			return errBadHeader
		case kind == tlvCRC32C:
			want := binary.BigEndian.Uint32(value)
			clear(value) // as it was when the sum was made
			if crc32.Checksum(all, crc32.MakeTable(crc32.Castagnoli)) != want {
				return errHeaderCRC
			}
		case kind == tlvSSL:
			h.tls = value[0]&sslClient != 0
		}
		rest = rest[3+n:]
	}
	return nil
}
