package disk

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/midgemq/midge/internal/faultdisk"
)

// A phase is what a store was at when it met the end.
type phase byte

const (
	atReading phase = iota
	atWork
	atCleaning
	atRest
	phases
)

func (l *life) phase() phase {
	st := l.store.Load()
	if st == nil {
		return atReading
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.cleaning {
		return atCleaning
	}
	return atWork
}

// A tally counts power cuts by what they met.
type tally struct {
	cuts, kills, want int
	met               [phases][faultdisk.Ops]int
	start, said       time.Time
}

func (s *tally) cut(at phase, op faultdisk.Op) {
	s.cuts++
	s.met[at][op]++
}

// progress says once a second how far a long run is.
func (s *tally) progress() {
	if s.want > shortCuts && time.Since(s.said) > time.Second {
		s.said = time.Now()
		fmt.Fprintf(os.Stderr, "power cuts: %6d of %d, %v\n", s.cuts, s.want, time.Since(s.start).Round(time.Second))
	}
}

// String draws the table.
func (s *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d power cuts and %d kills in %v met\n%-12s", s.cuts, s.kills, time.Since(s.start).Round(time.Second), "")
	for _, name := range []string{"-", "create", "header", "write", "sync", "remove", "folder"} {
		fmt.Fprintf(&b, "%9s", name)
	}
	for at, name := range []string{"recovery", "work", "cleaning", "rest"} {
		fmt.Fprintf(&b, "\n%-12s", name)
		for _, n := range s.met[at][:faultdisk.Rename] {
			fmt.Fprintf(&b, "%9d", n)
		}
	}
	return b.String()
}
