package midge

import "testing"

// A weighing that was overtaken by Adjust, which takes the bound away, leaves no
// shortage behind that nobody would weigh again.
func TestShortageEndsWithItsBound(t *testing.T) {
	h := newRig(t)
	h.b.budget.level.Store(uint32(full))
	h.b.heed()
	if s := h.b.shortage(); s != plenty {
		t.Errorf("memory is %v without a bound", s)
	}
}
