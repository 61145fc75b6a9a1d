package midge

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	for d, want := range map[time.Duration][2]moment{
		-time.Hour:                           {0, 1},
		0:                                    {0, 1},
		time.Second:                          {8, 8},
		time.Second + 1:                      {8, 9},
		10 * 365 * 24 * time.Hour:            {2522880000, 2522880000},
		time.Second + 125*time.Millisecond/2: {8, 9},
	} {
		if got := [2]moment{before(d), after(d)}; got != want {
			t.Errorf("%v lies between %v, want %v", d, got, want)
		}
	}
}
