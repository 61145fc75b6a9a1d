//go:build tinygo

package mqtt

// Same reports whether a and b are the same bytes. It looks at eight of them at
// a time, which TinyGo's own comparison does not.
func Same(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for ; len(a) >= 8 && len(b) >= 8; a, b = a[8:], b[8:] {
		if load64(a) != load64(b) {
			return false
		}
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// load64 is two loads on a Cortex-M3, aligned or not.
func load64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
