// Package readbuf holds what has been read from a socket and not yet been taken
// apart.
package readbuf

const (
	// Min is what a Buffer begins with, in bytes.
	Min = 2 << 10

	most = 64 << 10 // beyond that only one large packet makes it grow
)

// A Buffer grows to the packet at hand and shrinks when idle. The zero value is
// empty and has no memory. It belongs to whoever reads the socket.
type Buffer struct {
	b    []byte
	r, w int // unread bytes are b[r:w]
	need int // bytes of the packet that begins there, as far as Keep was told
}

// Space is where to read to next. It is not empty.
func (b *Buffer) Space() []byte {
	if b.b == nil {
		b.b = make([]byte, Min)
	}
	return b.b[b.w:]
}

// Unread is a view of what has come, good until Want; Wrote and Took say how
// much has been read into Space and taken off Unread.
func (b *Buffer) Unread() []byte { return b.b[b.r:b.w] }
func (b *Buffer) Wrote(n int)    { b.w += n }
func (b *Buffer) Took(n int)     { b.r += n }

// Size is how much memory it has, in bytes.
func (b *Buffer) Size() int { return cap(b.b) }

// Free gives the memory back.
func (b *Buffer) Free() { *b = Buffer{} }

// Want makes room for the rest of a packet of need bytes, by moving what is left
// to the front and growing in steps: a peer that announces much and sends little
// costs little.
func (b *Buffer) Want(need int) {
	left, size := b.w-b.r, len(b.b)
	switch {
	case b.w == size && left < size/2 && size < most:
		size *= 2 // the read filled the buffer: more is waiting
	case left == 0 && size > most:
		size = Min
	}
	if need > size {
		size = min(need, max(2*left, size))
	}
	if left == size {
		size = max(2*size, Min)
	}
	if size != len(b.b) {
		bigger := make([]byte, size)
		copy(bigger, b.Unread())
		b.b = bigger
	} else if b.r > 0 {
		copy(b.b, b.Unread())
	}
	b.r, b.w = 0, left
}

// Keep makes left, which may lie in the Buffer, all that is unread: the first of
// a packet of need bytes, 0 if that is not known. For one beyond 64 KiB there is
// room to read on behind it, more with each call; a smaller one is to be read on
// elsewhere.
func (b *Buffer) Keep(left []byte, need int) {
	if len(left) == 0 {
		b.Free()
		return
	}
	size := len(left)
	if need > most {
		size = min(need, max(2*size, Min))
	}
	if cap(b.b) < size || cap(b.b) > 2*size+Min {
		bigger := make([]byte, size)
		copy(bigger, left)
		b.b = bigger
	} else {
		b.b = b.b[:cap(b.b)]
		copy(b.b, left)
	}
	b.r, b.w, b.need = 0, len(left), need
}

// Large returns all memory of a Buffer that Keep has made room in, unread bytes
// first; nil if the packet is to be read on elsewhere.
func (b *Buffer) Large() []byte {
	if b.need <= most || b.w == 0 {
		return nil
	}
	return b.b
}
