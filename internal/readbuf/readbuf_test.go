package readbuf

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Whatever is announced and however it comes, what is read is what was sent, and
// memory follows what came rather than what was announced.
func TestBuffer(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var b Buffer
	for range 2000 {
		packet := make([]byte, 1+r.IntN(1<<r.IntN(18)))
		for i := range packet {
			packet[i] = byte(r.Uint32())
		}
		rest := packet
		for len(b.Unread()) < len(packet) {
			if len(b.Unread()) > 0 || r.IntN(2) == 0 {
				b.Want(len(packet))
			}
			if c := cap(b.b); c > 4*max(len(b.Unread()), most) {
				t.Fatalf("%d bytes of memory for %d that came", c, len(b.Unread()))
			}
			space := b.Space()
			if len(space) == 0 {
				b.Want(len(packet))
				space = b.Space()
			}
			n := copy(space, rest[:min(len(rest), 1+r.IntN(5000))])
			b.Wrote(n)
			rest = rest[n:]
		}
		if !bytes.Equal(b.Unread(), packet) {
			t.Fatal("other bytes came out")
		}
		b.Took(len(packet))
		b.Want(0)
	}
	if cap(b.b) > most {
		t.Errorf("%d bytes are kept by an idle buffer", cap(b.b))
	}
	b.Free()
	if b.b != nil {
		t.Error("Free keeps memory")
	}
}
