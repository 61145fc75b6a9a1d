package telemetry

import (
	"strings"
	"time"

	"github.com/midgemq/midge/admin"
)

const cumulative = 2 // sums count since started, not since the last time

// appendMetrics appends what has been read, each family as a field, and says
// how many data points there are. The names are those of /metrics.
func appendMetrics(b []byte, field uint64, all []admin.Sample, started, now time.Time) (_ []byte, n int) {
	for len(all) > 0 {
		family := 1
		for family < len(all) && all[family].Name == all[0].Name {
			family++
		}
		points := func(b []byte) []byte {
			for i := range all[:family] {
				b = appendMessage(b, 1, func(b []byte) []byte { return appendPoint(b, &all[i], started, now) })
			}
			if all[0].Counter {
				b = appendUint(appendUint(b, 2, cumulative), 3, 1)
			}
			return b
		}
		b = appendMessage(b, field, func(b []byte) []byte {
			b = appendBytes(appendBytes(appendBytes(b, 1, all[0].Name), 2, all[0].Help), 3, unit(all[0].Name))
			if all[0].Counter {
				return appendMessage(b, 7, points)
			}
			return appendMessage(b, 5, points)
		})
		n += family
		all = all[family:]
	}
	return b, n
}

func appendPoint(b []byte, s *admin.Sample, started, now time.Time) []byte {
	if s.Counter {
		b = appendFixed64(b, 2, uint64(started.UnixNano()))
	}
	b = appendFixed64(b, 3, uint64(now.UnixNano()))
	b = appendDouble(b, 4, s.Value)
	if s.Label != "" {
		b = appendText(b, 7, s.Label, s.Is)
	}
	return b
}

// unit is what a name ends in, as UCUM writes it.
func unit(name string) string {
	name = strings.TrimSuffix(name, "_total")
	switch {
	case strings.HasSuffix(name, "_bytes"):
		return "By"
	case strings.HasSuffix(name, "_seconds"):
		return "s"
	}
	return ""
}
