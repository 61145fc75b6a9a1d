package tiny

import "testing"

// Raced is whether the race detector is on: it makes what is long ten times as
// long, and what is counted something else.
var Raced bool

// brief reports whether a long test should be a short one.
func brief(t testing.TB) bool {
	t.Helper()
	return testing.Short() || Raced
}
