package lan

import "testing"

func TestNeighbours(t *testing.T) {
	var n neighbours
	host := func(i byte) [4]byte { return [4]byte{10, 0, 0, i} }
	mac := func(i byte) [6]byte { return [6]byte{2, 0, 0, 0, 0, i} }
	if _, ok := n.find([4]byte{}); ok {
		t.Error("an empty table knows somebody")
	}
	size := byte(len(n.known))
	for i := range size {
		n.learn(host(i), mac(i))
	}
	n.learn(host(3), mac(33)) // moved
	if got, ok := n.find(host(0)); !ok || got != mac(0) {
		t.Errorf("host 0 is at %x, %v", got, ok)
	}
	n.learn(host(size), mac(size)) // pushes out host 1, which was quiet longest
	for _, c := range []struct {
		host byte
		mac  byte
		ok   bool
	}{{0, 0, true}, {1, 0, false}, {2, 2, true}, {3, 33, true}, {size, size, true}} {
		if got, ok := n.find(host(c.host)); ok != c.ok || (ok && got != mac(c.mac)) {
			t.Errorf("host %d is at %x, %v", c.host, got, ok)
		}
	}
}
