package mqtt_test

import (
	"bytes"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

// Same is bytes.Equal, wherever the difference lies.
func TestSame(t *testing.T) {
	for n := range 40 {
		a := bytes.Repeat([]byte("x"), n)
		if !mqtt.Same(a, bytes.Clone(a)) || mqtt.Text(a) != string(a) || mqtt.Same(a, append(bytes.Clone(a), 'x')) {
			t.Errorf("%d bytes", n)
		}
		for i := range n {
			b := bytes.Clone(a)
			b[i] = 'y'
			if mqtt.Same(a, b) {
				t.Errorf("%d bytes, another at %d", n, i)
			}
		}
	}
}
