package telemetry

import (
	"bytes"
	"testing"
)

func TestPartial(t *testing.T) {
	answer := appendMessage(nil, 1, func(b []byte) []byte {
		b = appendFixed64(appendFixed32(appendDouble(b, 7, 1), 8, 2), 9, 3)
		return appendBytes(appendUint(b, 1, 300), 2, "no room")
	})
	answer = append(appendUint(nil, 5, 9), answer...)
	if n, why := partial(answer); n != 300 || why != "no room" {
		t.Errorf("%d %q", n, why)
	}
	for i := range answer {
		partial(answer[:i])
	}
	if n, why := partial(nil); n != 0 || why != "" {
		t.Errorf("%d %q", n, why)
	}
}

func TestAppend(t *testing.T) {
	got := appendText(nil, 9, "k", "")
	got = appendInt(got, 9, "n", 0)
	got = appendUint(appendFixed64(appendFixed32(appendBytes(got, 1, ""), 2, 0), 3, 0), 4, 0)
	want := []byte{0x4A, 7, 0x0A, 1, 'k', 0x12, 2, 0x0A, 0, 0x4A, 7, 0x0A, 1, 'n', 0x12, 2, 0x18, 0}
	if !bytes.Equal(got, want) {
		t.Errorf("% x\nwant % x", got, want)
	}
}

// No answer of a collector does harm.
func FuzzPartial(f *testing.F) {
	f.Add([]byte{0x0A, 4, 8, 1, 0x12, 0})
	f.Add([]byte{0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, why := partial(b); len(why) > len(b) {
			t.Errorf("%d bytes of %d", len(why), len(b))
		}
	})
}
