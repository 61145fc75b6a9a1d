package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/midgemq/midge/bench"
)

// draw prints what came of it as one table, as Markdown has it.
func draw(out io.Writer, all []result) {
	rows := [][]string{{"attack", "attempts a second", "what the attacker was told", "bystander p50 / p99 / max, ms", "without the attack", "newcomer p99, ms (shut out)", "peak memory, MiB"}}
	for _, r := range all {
		rows = append(rows, []string{
			r.Attack, fmt.Sprintf("%.0f", float64(r.Done)/r.Seconds), r.told(),
			trip(r.Under.Trips), trip(r.Before.Trips), enters(r.Under), fmt.Sprintf("%.0f", float64(r.Memory.Peak)/(1<<20)),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	for n, r := range rows {
		for i, c := range r {
			fmt.Fprintf(out, "| %-*s ", widths[i], c)
		}
		fmt.Fprintln(out, "|")
		if n == 0 {
			for _, w := range widths {
				fmt.Fprintf(out, "|-%s-", strings.Repeat("-", w))
			}
			fmt.Fprintln(out, "|")
		}
	}
}

// told is what the attacker heard most, most often first.
func (r *result) told() string {
	words := slices.SortedFunc(maps.Keys(r.Told), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.Told[b], r.Told[a]), cmp.Compare(a, b))
	})
	var all []string
	for i, w := range words {
		if i == 4 {
			all = append(all, fmt.Sprintf("%d more", len(words)-i))
			break
		}
		all = append(all, fmt.Sprintf("%s (%d)", w, r.Told[w]))
	}
	return strings.Join(all, "; ")
}

func trip(l *bench.Latency) string {
	if l == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f / %.1f / %.1f", l.P50/1e3, l.P99/1e3, l.Max/1e3)
}

func enters(w watch) string {
	if w.Enters == nil {
		return fmt.Sprintf("- (%d)", w.Shut)
	}
	return fmt.Sprintf("%.0f (%d)", w.Enters.P99/1e3, w.Shut)
}
