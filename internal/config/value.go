package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Duration is written as "1h30m", "250ms" or "7d".
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText is the form UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return []byte(text), nil
}

// UnmarshalText reads what time.ParseDuration does, and days.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if n, days := strings.CutSuffix(s, "d"); days {
		v, err := strconv.ParseFloat(n, 64)
		if err != nil || math.Abs(v) > 36500 {
			return fmt.Errorf("%q is no duration, such as 30s, 5m or 7d", s)
		}
		*d = Duration(v * float64(24*time.Hour))
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no duration, such as 30s, 5m or 7d", s)
	}
	*d = Duration(v)
	return nil
}

// A Size is a number of bytes: 1048576, "1MiB" or "1 MB".
type Size int64

var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
}

func (s Size) String() string {
	if s != 0 {
		for _, u := range units[:4] {
			if int64(s)%u.size == 0 {
				return strconv.FormatInt(int64(s)/u.size, 10) + u.name
			}
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText is the form UnmarshalText reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a whole number and perhaps a unit.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(n), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/unit || n < math.MinInt64/unit {
		return fmt.Errorf("%q is no size, such as 65536, 64KiB or 1GiB", text)
	}
	*s = Size(n * unit)
	return nil
}
