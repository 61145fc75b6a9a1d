package admin

import (
	"math"
	"runtime/metrics"
)

// A Process is what there is to know of the process. Zero is unknown: what
// comes from the system is read on Linux alone.
type Process struct {
	Goroutines  uint64 `json:"goroutines"`
	Heap        uint64 `json:"heap"`         // bytes in use
	Sys         uint64 `json:"sys"`          // bytes the Go runtime has of the system
	MemoryLimit uint64 `json:"memory_limit"` // bytes it tries to stay below; 0: none
	Collections uint64 `json:"collections"`

	Resident uint64  `json:"resident"` // bytes
	CPU      float64 `json:"cpu"`      // seconds, user and system
	Files    uint64  `json:"files"`    // open
	MaxFiles uint64  `json:"max_files"`
}

func readProcess() Process {
	s := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/gomemlimit:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(s)
	at := func(i int) uint64 { return s[i].Value.Uint64() }
	p := Process{Goroutines: at(0), Heap: at(1), Sys: at(2), MemoryLimit: at(3), Collections: at(4)}
	if p.MemoryLimit == math.MaxInt64 {
		p.MemoryLimit = 0
	}
	p.readSystem()
	return p
}
