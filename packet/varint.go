package packet

import "github.com/midgemq/midge/mqtt"

var (
	errVarintLong  = malformed("variable byte integer of more than four bytes")
	errVarintSpare = malformed("variable byte integer that is not in its shortest form")
	errTruncated   = malformed("packet ends inside a field")
	errTrailing    = malformed("bytes left over behind the last field")
)

// readVarint takes a Variable Byte Integer off the front of b. n is its
// length, 0 when b ends inside it.
func readVarint(b []byte) (v, n int, err error) {
	for i := 0; i < len(b) && i < 4; i++ {
		v |= int(b[i]&0x7F) << (7 * i)
		if b[i] < 0x80 {
			// [MQTT-1.5.5-1, 5.0]
			if b[i] == 0 && i > 0 {
				return 0, 0, errVarintSpare
			}
			return v, i + 1, nil
		}
	}
	if len(b) >= 4 {
		return 0, 0, errVarintLong
	}
	return 0, 0, nil
}

// VarintSize returns how many bytes v takes, 1 to 4.
func VarintSize(v int) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	}
	return 4
}

// AppendVarint appends v, [0, 268435455], in its shortest form.
func AppendVarint(dst []byte, v int) []byte {
	if v < 0 || v > mqtt.MaxRemainingLength {
		panic("packet: length does not fit a Variable Byte Integer")
	}
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}
