package auth

import (
	"os"
	"runtime"
	"sync"
)

// A spare is a processor of Go's scheduler that is there while a hash is
// computed. A hash holds one for milliseconds at a time: without another, who
// has a message to hand on waits for as long, while the system, which knows who
// slept, would let it go first.
type spare struct{ mu sync.Mutex } // of its count, which is the runtime's

var spares spare

// lend is called before a hash, and giveBack after it. A number of processors
// that somebody has chosen (GOMAXPROCS) is left alone.
func (s *spare) lend() (giveBack func()) {
	if os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	s.add(1)
	return func() { s.add(-1) }
}

func (s *spare) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
}
