package midge

import "sync"

// What waits to be written stands in buffers of four sizes that all connections
// share: an idle one has none. bufferSizes[k] is that of buffers[k].
var (
	bufferSizes = [...]int{1 << 10, 8 << 10, 64 << 10, 512 << 10}
	buffers     [len(bufferSizes)]sync.Pool
)

// takeBuffer returns an empty buffer for n bytes, or more than there is a size
// for, of size k or larger.
func takeBuffer(k int8, n int) []byte {
	for int(k) < len(bufferSizes)-1 && bufferSizes[k] < n {
		k++
	}
	if n > bufferSizes[k] {
		return make([]byte, 0, n+n/4) // it may go on growing
	}
	switch b := buffers[k].Get().(type) {
	case *[1 << 10]byte:
		return b[:0]
	case *[8 << 10]byte:
		return b[:0]
	case *[64 << 10]byte:
		return b[:0]
	case *[512 << 10]byte:
		return b[:0]
	}
	return make([]byte, 0, bufferSizes[k])
}

// giveBuffer takes a buffer back and returns the size to ask for next time: a
// smaller one if little of it was needed.
func giveBuffer(b []byte) int8 {
	switch c := cap(b); {
	case c >= 2*bufferSizes[3] || c < bufferSizes[0]: // somebody else's
	case c >= bufferSizes[3]:
		buffers[3].Put((*[512 << 10]byte)(b[:bufferSizes[3]]))
	case c >= bufferSizes[2]:
		buffers[2].Put((*[64 << 10]byte)(b[:bufferSizes[2]]))
	case c >= bufferSizes[1]:
		buffers[1].Put((*[8 << 10]byte)(b[:bufferSizes[1]]))
	default:
		buffers[0].Put((*[1 << 10]byte)(b[:bufferSizes[0]]))
	}
	for k := range bufferSizes {
		if len(b) <= bufferSizes[k] {
			return int8(k)
		}
	}
	return int8(len(bufferSizes) - 1)
}

// roomFor returns what waits, with room for n bytes more.
func (c *conn) roomFor(n int) []byte {
	if cap(c.out)-len(c.out) >= n {
		return c.out
	}
	bigger := takeBuffer(c.usual, len(c.out)+n)
	if cap(c.out) > 0 {
		bigger = append(bigger, c.out...)
		giveBuffer(c.out)
	}
	if c.out = bigger; cap(bigger) > smallBuffer {
		c.weighLocked(c.weight > 0)
	}
	return bigger
}
