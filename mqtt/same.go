//go:build !tinygo

package mqtt

// Same reports whether a and b are the same bytes.
func Same(a, b []byte) bool { return Text(a) == Text(b) }
