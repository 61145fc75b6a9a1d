package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// columns is how many a rune takes on a terminal: those of East Asia take two.
func columns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000:
		return 2
	}
	return 1
}

// width is how many columns s takes.
func width(s string) (n int) {
	for _, r := range s {
		n += columns(r)
	}
	return n
}

// printable is a text clients have chosen, as a terminal can take it.
func printable(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return strconv.QuoteToGraphic(s)
		}
	}
	return s
}

// fit is s in exactly n columns, cut or filled.
func fit(s string, n int) string {
	if w := width(s); w <= n {
		return s + strings.Repeat(" ", n-w)
	}
	if n <= 0 {
		return ""
	}
	var b strings.Builder
	left := n - 1
	for _, r := range s {
		if left -= columns(r); left < 0 {
			left += columns(r)
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "~" + strings.Repeat(" ", left)
}

// right is s at the right of n columns.
func right(s string, n int) string {
	if w := width(s); w < n {
		return strings.Repeat(" ", n-w) + s
	}
	return fit(s, n)
}

// number is a count for people: 1,204; 31.4M.
func number(v float64) string {
	switch {
	case v >= 1e9:
		return fmt.Sprintf("%.1fG", v/1e9)
	case v >= 1e7:
		return fmt.Sprintf("%.1fM", v/1e6)
	case v > 0 && v < 9.95:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	s := fmt.Sprint(int64(math.Round(v)))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size is bytes for people.
func size(v float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if v < 999.5 {
			if unit == "B" || v >= 99.5 {
				return fmt.Sprintf("%.0f %s", v, unit)
			}
			return fmt.Sprintf("%.1f %s", v, unit)
		}
		v /= 1024
	}
	return fmt.Sprintf("%.1f TiB", v)
}

// span is a time in its two largest units.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	day := 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd %dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", max(0, d/time.Second))
}

// spark draws the last rates in n columns, the highest of them at full height.
func spark(h history, n int, ascii bool) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	if ascii {
		levels = []rune("_.-~=*#@")
	}
	if len(h) > n {
		h = h[len(h)-n:]
	}
	most := 0.0
	for _, v := range h {
		most = max(most, v)
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", n-len(h)))
	for _, v := range h {
		i := 0
		if most > 0 {
			i = int(v / most * float64(len(levels)-1))
		}
		b.WriteRune(levels[i])
	}
	return b.String()
}

// bar draws a part of a whole in n columns.
func bar(part float64, n int, ascii bool) string {
	full, empty := "█", "░"
	if ascii {
		full, empty = "#", "."
	}
	k := min(max(int(math.Round(part*float64(n))), 0), n)
	return strings.Repeat(full, k) + strings.Repeat(empty, n-k)
}
