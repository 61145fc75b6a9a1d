package mqtt

import "unsafe"

// Text is b seen as a string, to compare it with another. It costs nothing on
// any compiler, where string(b) may allocate on a small one; it changes with b
// and so must not be kept.
func Text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
