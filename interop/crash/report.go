package main

import (
	"fmt"
	"io"
	"strings"
)

// draw prints the runs as one table, as Markdown has it, and below it what the
// faults were.
func draw(out io.Writer, all []result) {
	rows := [][]string{{""}}
	for _, f := range append([]row{{"kills", 0}, {"orderly stops", 0}, {"seconds", 0}, {"deliveries promised", 0}, {"wills due", 0}, {"looks at retained", 0}}, (&faults{}).rows()...) {
		rows = append(rows, []string{f.name})
	}
	for _, r := range all {
		v := &r.Verdict
		cells := []string{r.Plan.Broker, fmt.Sprint(v.Kills), fmt.Sprint(v.Stops), fmt.Sprintf("%.0f", r.Seconds), fmt.Sprint(v.Promised), fmt.Sprint(v.Wills), fmt.Sprint(v.Looks)}
		for _, f := range v.Faults.rows() {
			cells = append(cells, fmt.Sprint(f.n))
		}
		for i, c := range cells {
			rows[i] = append(rows[i], c)
		}
	}
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], len(c), 4)
		}
	}
	for n, r := range rows {
		fmt.Fprintf(out, "| %-*s |", widths[0], r[0])
		for i, c := range r[1:] {
			fmt.Fprintf(out, " %*s |", widths[i+1], c)
		}
		fmt.Fprintln(out)
		if n == 0 {
			fmt.Fprintf(out, "|-%s-|", strings.Repeat("-", widths[0]))
			for _, w := range widths[1:] {
				fmt.Fprintf(out, "-%s:|", strings.Repeat("-", w))
			}
			fmt.Fprintln(out)
		}
	}
	for _, r := range all {
		if some := r.Verdict.Faults.Examples; len(some) > 0 {
			fmt.Fprintf(out, "\n%s, seed %d:\n  %s\n", r.Plan.Broker, r.Plan.Seed, strings.Join(some, "\n  "))
		}
	}
}
