package console

import "testing"

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		text string
		want [4]byte
		ok   bool
	}{
		{"", [4]byte{}, true},
		{"10.0.2.15", [4]byte{10, 0, 2, 15}, true},
		{"255.255.255.255", [4]byte{255, 255, 255, 255}, true},
		{"10.0.2", [4]byte{}, false},
		{"10.0.2.15.1", [4]byte{}, false},
		{"10.0.2.256", [4]byte{}, false},
		{"10.0..1", [4]byte{}, false},
		{"10.0.2.x", [4]byte{}, false},
	} {
		got, ok := try(c.text)
		if ok != c.ok || got != c.want {
			t.Errorf("%q is %v, %v", c.text, got, ok)
		}
	}
}

// try is Address, which stops a board that was built wrongly.
func try(text string) (a [4]byte, ok bool) {
	defer func() { ok = recover() == nil }()
	return Address(text), true
}
