package main

import (
	"context"
	"fmt"
	"sync"
)

// An attack is something a broker has to stand.
type attack struct {
	name  string
	about string

	// config is TOML behind that of every run: the limits it is about. brief is
	// that of the short form, if it is another.
	config, brief string

	// prepare sets the scene; it may be nil. strike attacks until ctx ends,
	// and returns nil then.
	prepare, strike func(ctx context.Context, f *field) error

	// judge says what is wrong with how it went; it may be nil. The short form
	// asks it, too: it looks at counts and at no time.
	judge func(r *result) error
}

// attacks are all there are, in the order they are run. Each stands in a file
// of its own.
var attacks = []attack{
	halfOpen, halfOpenBounded, failedLogins, flapping, takeovers,
	heldFlood, refusedFlood, replay, refusedReplay, bomb,
}

// A field is where an attacker stands.
type field struct {
	addr string  // the broker's
	size float64 // a factor: 1 is what the attack's name promises

	mu   sync.Mutex
	done uint64            // guarded by mu: attempts
	told map[string]uint64 // guarded by mu
}

func newField(addr string, size float64) *field {
	return &field{addr: addr, size: size, told: map[string]uint64{}}
}

// scale is n of a whole attack.
func (f *field) scale(n int) int { return max(1, int(f.size*float64(n))) }

// tell notes what became of one attempt, in few words.
func (f *field) tell(format string, args ...any) {
	f.tells(1, format, args...)
}

// tells is tell for n attempts.
func (f *field) tells(n uint64, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done += n
	f.told[what] += n
}

// source is one of an attacker's own addresses.
func source(i int) string { return fmt.Sprintf("127.1.%d.%d", i/250, 1+i%250) }
